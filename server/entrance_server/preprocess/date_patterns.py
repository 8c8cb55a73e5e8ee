"""`&{yyyy-MM-dd%-1d}`: the run date in a form of the caller's, moved by any number of shifts.

The form takes `yyyy yy y MM M dd d HH H mm m ss s`, other letters within `'…'`, and any other
character for itself; the time of day is the present one. Each shift is `%`, a whole number and one
of `y M d H m s`. What is no such form stays as written, since `a&{b}` has a set in Python and `&{`
may begin a group in shell; SQL, where it means nothing else, gives a warning. For the same reason a
lone letter without a shift, such as `&{d}`, is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from entrance_server.domain.errors import InvalidRequest
from entrance_server.domain.notes import Note
from entrance_server.preprocess import refusals
from entrance_server.preprocess.calendar_steps import Step, add_days, add_hours, by_months
from entrance_server.preprocess.notes import listed, shown
from entrance_server.preprocess.substitution import substitute

_PATTERN = re.compile(r"&\{([^{}\n]{1,200})\}")
_FIELD = re.compile(r"([A-Za-z])\1*+|'[^']*'|.")
_SHIFT = re.compile(r"\s*([+-]?[0-9]{1,9})([yMdHms])\s*", re.ASCII)

_FORMS: dict[str, Callable[[datetime], str]] = {
    "yyyy": lambda at: f"{at.year:04}",
    "yy": lambda at: f"{at.year % 100:02}",
    "y": lambda at: str(at.year),
    "MM": lambda at: f"{at.month:02}",
    "M": lambda at: str(at.month),
    "dd": lambda at: f"{at.day:02}",
    "d": lambda at: str(at.day),
    "HH": lambda at: f"{at.hour:02}",
    "H": lambda at: str(at.hour),
    "mm": lambda at: f"{at.minute:02}",
    "m": lambda at: str(at.minute),
    "ss": lambda at: f"{at.second:02}",
    "s": lambda at: str(at.second),
}
_STEPS: dict[str, Step] = {
    "y": by_months(12),
    "M": by_months(1),
    "d": add_days,
    "H": add_hours,
    "m": lambda at, minutes: at + timedelta(minutes=minutes),
    "s": lambda at, seconds: at + timedelta(seconds=seconds),
}


def replace(
    code: str, run_date: datetime, *, dialect: str, max_length: int
) -> tuple[str, tuple[Note, ...]]:
    """The code with its date patterns put in, and notes that say which were and which were not.

    Raises:
        InvalidRequest: a shift is none or leads out of the calendar, or the result is too long.
    """

    def text_for(match: re.Match[str]) -> str | None:
        form, *shifts = match[1].strip().split("%")
        fields = [field[0] for field in _FIELD.finditer(form)]
        if not _is_date(fields, shifts):
            return None
        try:
            moment = _shifted(run_date, shifts)
        except (ValueError, OverflowError):
            raise _wrong(code, match) from None
        return "".join(_written(field, moment) for field in fields)

    done = substitute(code, _PATTERN, text_for, max_length=max_length)
    notes: list[Note] = []
    if done.put_in:
        notes.append(Note("INFO", f"Dates put in: {listed(done.put_in)}."))
    if done.left and dialect == "sql":
        text = "No date patterns, and left as written (letters are y M d H m s)"
        notes.append(Note("WARN", f"{text}: {listed(done.left)}."))
    return done.code, tuple(notes)


def _is_date(fields: list[str], shifts: list[str]) -> bool:
    letters = [field for field in fields if field[0].isascii() and field[0].isalpha()]
    if "'" in fields or not letters or not all(field in _FORMS for field in letters):
        return False
    shifted = bool(shifts) and all(_SHIFT.fullmatch(shift) for shift in shifts)
    return shifted or any(len(field) > 1 for field in letters)


def _shifted(moment: datetime, shifts: list[str]) -> datetime:
    for shift in shifts:
        match = _SHIFT.fullmatch(shift)
        if match is None:
            raise ValueError(f"'{shift}' is no shift")
        moment = _STEPS[match[2]](moment, int(match[1]))
    return moment


def _written(field: str, moment: datetime) -> str:
    if field in _FORMS:
        return _FORMS[field](moment)
    return (field[1:-1] or "'") if field.startswith("'") else field


def _wrong(code: str, match: re.Match[str]) -> InvalidRequest:
    return refusals.refusal(
        refusals.EXPRESSION_WRONG,
        f"Line {refusals.line_of(code, match.start())}: {shown(match[0])} has a wrong shift, or "
        "leads out of the years 1 to 9999; write shifts as %-1d, with one of y M d H m s.",
    )
