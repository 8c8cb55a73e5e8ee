"""What variables hold, and how they calculate."""

from __future__ import annotations

import decimal
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from entrance_server.preprocess import calendar_steps
from entrance_server.preprocess.notes import shown

NUMBER_LENGTH_MAX = 100  # characters, and powers of ten; what is beyond is text
QUOTIENT_DIGITS = 34  # as many as a decimal128 has
COUNT_MAX = 10**9  # steps of a date

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")


class Uncalculable(Exception):
    """A value does not calculate like this; the text says why."""


class Value(Protocol):
    """What a name stands for."""

    @property
    def text(self) -> str:
        """The value as it is put into the code."""

    def calculate(self, operator: str, operand: str) -> str:
        """The result of `+`, `-`, `*` or `/`.

        Raises:
            Uncalculable: the value has no such operation, or not with this operand.
        """


def of(text: str) -> Value:
    """A value as the caller wrote it: a number, or text where it starts with 0 or is none."""
    number = None if text.startswith("0") else parse_number(text)
    return Text(text) if number is None else Number(text, number)


def parse_number(text: str) -> Decimal | None:
    """The number that a text is, or None; one of a length beyond all reason is none."""
    if len(text) > NUMBER_LENGTH_MAX or not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text)
    return number if abs(number.adjusted()) <= NUMBER_LENGTH_MAX else None


@dataclass(frozen=True, slots=True)
class Text:
    """Any text; `+` joins."""

    text: str

    def calculate(self, operator: str, operand: str) -> str:
        """The text with another one behind it."""
        if operator != "+":
            raise Uncalculable(f"'{shown(self.text)}' is text, which takes + alone")
        return self.text + operand


@dataclass(frozen=True, slots=True)
class Number:
    """A decimal number. By itself it stays as written; a result is written out in full."""

    text: str
    number: Decimal

    def calculate(self, operator: str, operand: str) -> str:
        """The exact result; a quotient has as many digits as the number, and 34 at least."""
        right = parse_number(operand)
        if right is None:
            raise Uncalculable(f"'{shown(operand)}' is neither a number nor a variable with one")
        try:
            return _plain(self._result(operator, right))
        except ArithmeticError:
            raise Uncalculable(f"'{shown(operand)}' divides nothing") from None

    def _result(self, operator: str, right: Decimal) -> Decimal:
        exact = decimal.Context(prec=4 * NUMBER_LENGTH_MAX + 4)
        match operator:
            case "+":
                return exact.add(self.number, right)
            case "-":
                return exact.subtract(self.number, right)
            case "*":
                return exact.multiply(self.number, right)
            case _:
                digits = max(QUOTIENT_DIGITS, len(self.number.as_tuple().digits))
                rounding = decimal.ROUND_HALF_EVEN
                return decimal.Context(prec=digits, rounding=rounding).divide(self.number, right)


def _plain(number: Decimal) -> str:
    return str(int(number)) if number == int(number) else f"{number:f}"


@dataclass(frozen=True, slots=True)
class Moment:
    """A date, month or hour; `+ 1` and `- 1` move it by its step, then it goes to its edge."""

    at: datetime
    step: calendar_steps.Step
    edge: calendar_steps.Edge
    length: int  # characters of the standard form that it shows, such as 10 for `2026-01-31`
    standard: bool

    @property
    def text(self) -> str:
        """The moment in its form."""
        return self._written(self.at)

    def calculate(self, operator: str, operand: str) -> str:
        """The moment some steps later or earlier."""
        if operator not in "+-":
            raise Uncalculable("it is a date, which takes + and - alone")
        count = parse_number(operand)
        if count is None or count != int(count) or abs(count) > COUNT_MAX:
            raise Uncalculable(f"a date does not move by '{shown(operand)}'")
        try:
            return self._written(self.step(self.at, int(count if operator == "+" else -count)))
        except (ValueError, OverflowError):
            raise Uncalculable("the result is not in the years 1 to 9999") from None

    def _written(self, moment: datetime) -> str:
        standard = self.edge(moment).isoformat(sep=" ")[: self.length]
        return standard if self.standard else standard.replace("-", "").replace(" ", "")
