"""Lines that set a variable in the code: `--@set name=value` in SQL, `#@set` in Python and shell.

They count at the start of a line, wherever it stands, and remain in the code as the comments that
they are. The value is all that follows the first `=`, without spaces around it and one `;` at its
end; a later line for the same name wins.
"""

from __future__ import annotations

import re

from entrance_server.domain.notes import Note
from entrance_server.preprocess import refusals
from entrance_server.preprocess.notes import listed, shown

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")

_MARKERS = {"sql": "--", "python": "#", "shell": "#"}
_LINE = re.compile(r"[ \t]*+(--|#)([-# \t]*+)@set\b(.*)", re.ASCII | re.DOTALL)


def read(code: str, dialect: str) -> tuple[dict[str, str], tuple[Note, ...]]:
    """What the code sets, and a warning for lines that only look like it.

    Raises:
        InvalidRequest: a line sets nothing, or a name that no `${…}` could ask for.
    """
    marker = _MARKERS.get(dialect)
    if marker is None:
        return {}, ()
    found: dict[str, str] = {}
    idle: list[str] = []
    for number, line in enumerate(code.split("\n"), start=1):
        match = _LINE.match(line)
        if match is None or match[1] != marker:
            continue
        if match[2]:
            idle.append(str(number))
        else:
            name, value = _parse(match[3], f"Line {number}", marker)
            found[name] = value
    if not idle:
        return found, ()
    text = f"A variable is set by a line that starts with {marker}@set, which these do not"
    return found, (Note("WARN", f"{text}: line {listed(idle)}."),)


def _parse(assignment: str, place: str, marker: str) -> tuple[str, str]:
    name, _, value = (part.strip() for part in assignment.partition("="))
    value = value.removesuffix(";").rstrip()
    if not NAME.fullmatch(name) or not value:
        raise refusals.refusal(
            refusals.VARIABLE_WRONG,
            f"{place}: '{shown(marker + '@set' + assignment)}' sets no variable; write "
            f"{marker}@set name=value, where the name has letters, digits, _ and . and starts with "
            "a letter.",
        )
    return name, value
