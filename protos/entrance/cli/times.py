"""Points in time as commands take and show them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from entrance.cli.problems import Problem

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(rf"([0-9]{{1,9}})([{''.join(_UNITS)}])")


def local(moment: datetime | None) -> str:
    """A time for people, in the zone of this machine."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment else ""


def iso(moment: datetime | None) -> str | None:
    """A time for programs."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def moment(option: str, text: str) -> datetime:
    """The time that an option names: a duration from now, or a point in ISO form.

    Raises:
        Problem: it is neither.
    """
    duration = _DURATION.fullmatch(text)
    try:
        if duration is None:
            return datetime.fromisoformat(text).astimezone()
        count, unit = duration.groups()
        return datetime.now(UTC) + timedelta(**{_UNITS[unit]: int(count)})
    except (ValueError, OverflowError):
        raise Problem(
            f"{option} takes a duration such as 30d or 12h, or a time such as "
            f"2030-01-31T08:00:00Z, and '{text}' is neither"
        ) from None
