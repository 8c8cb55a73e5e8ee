"""`${name}` and calculations such as `${name + 3}` or `${name - other}`.

A name is one that the code sets, else one of `params.variable`, else a built-in one. Only run date
and hours may be set among the built-in ones. A variable without a value counts as not set. The
operand is a variable, or else stands for itself. Values are put in as they are and are not searched
again.

A name that is not set stays as written. In SQL and Python this gives a warning. In shell it does
not, since `${HOME}` is the shell's own, nor in languages that are not known here, which may have
`${…}` themselves. In shell a calculation that can't be made stays as written too, since
`${name-word}` is the shell's way to give a default; elsewhere it is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from entrance_server.domain.errors import InvalidRequest
from entrance_server.domain.notes import Note
from entrance_server.preprocess import builtin_variables, refusals, values
from entrance_server.preprocess.notes import listed, shown
from entrance_server.preprocess.set_lines import NAME
from entrance_server.preprocess.substitution import substitute
from entrance_server.preprocess.values import Value

_REFERENCE = re.compile(
    r"\$\{\s*+(?P<name>[A-Za-z][\w.]*+)\s*+(?:(?P<operator>[-+*/])\s*+(?P<operand>[\w.]*+)\s*+)?\}",
    re.ASCII,
)
_WARNS = frozenset({"sql", "python"})


def resolve(
    given: Mapping[str, str], now: datetime, *, user: str, submit_user: str
) -> tuple[dict[str, Value], tuple[Note, ...]]:
    """What each name stands for, and a warning for names that can't be set.

    Args:
        given: what code and request set, without empty values.
        now: the present time where the caller is.
        user: who the job runs as.
        submit_user: who sent it.

    Raises:
        InvalidRequest: a date or hour that the caller set is none.
    """
    builtin = builtin_variables.all_of(given, now, user=user, submit_user=submit_user)
    found = {name: values.of(text) for name, text in given.items()} | builtin
    fixed = [
        name
        for name, text in given.items()
        if name in builtin and name not in builtin_variables.SETTABLE and text != builtin[name].text
    ]
    unusable = [shown(name) for name in given if not NAME.fullmatch(name)]
    notes: list[Note] = []
    if fixed:
        notes.append(Note("WARN", f"Built in, and not set to what was sent: {listed(fixed)}."))
    if unusable:
        text = "No ${…} can ask for these names, which have other characters than letters, digits, "
        notes.append(
            Note("WARN", f"{text}_ and . or do not start with a letter: {listed(unusable)}.")
        )
    return found, tuple(notes)


def replace(
    code: str, variables: Mapping[str, Value], *, dialect: str, max_length: int
) -> tuple[str, tuple[Note, ...]]:
    """The code with its variables put in, and notes that say which were and which were not.

    Raises:
        InvalidRequest: a calculation can't be made, or the result is too long.
    """

    def text_for(match: re.Match[str]) -> str | None:
        value = variables.get(match["name"])
        if value is None:
            return None
        try:
            return _evaluate(value, match["operator"], match["operand"], variables)
        except values.Uncalculable as problem:
            if dialect == "shell":
                return None
            raise _wrong(code, match, problem) from None

    done = substitute(code, _REFERENCE, text_for, max_length=max_length)
    notes: list[Note] = []
    if done.put_in:
        notes.append(Note("INFO", f"Variables put in: {listed(done.put_in)}."))
    if done.left and dialect in _WARNS:
        text = "Not set, or without a value, and left as written"
        notes.append(Note("WARN", f"{text}: {listed(done.left)}."))
    return done.code, tuple(notes)


def _evaluate(
    value: Value, operator: str | None, operand: str | None, variables: Mapping[str, Value]
) -> str:
    if operator is None:
        return value.text
    if not operand:
        raise values.Uncalculable(f"nothing stands behind the {operator}")
    other = variables.get(operand)
    return value.calculate(operator, operand if other is None else other.text)


def _wrong(code: str, match: re.Match[str], problem: values.Uncalculable) -> InvalidRequest:
    line = refusals.line_of(code, match.start())
    return refusals.refusal(
        refusals.EXPRESSION_WRONG, f"Line {line}: {shown(match[0])} can't be calculated: {problem}."
    )
