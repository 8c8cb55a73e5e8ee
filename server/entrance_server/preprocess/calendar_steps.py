"""Steps and edges of the calendar: months, quarters, half-years and years."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import datetime, timedelta

Step = Callable[[datetime, int], datetime]
Edge = Callable[[datetime], datetime]


def add_hours(moment: datetime, hours: int) -> datetime:
    """A moment some hours later."""
    return moment + timedelta(hours=hours)


def add_days(moment: datetime, days: int) -> datetime:
    """A moment some days later."""
    return moment + timedelta(days=days)


def add_months(moment: datetime, months: int) -> datetime:
    """The same day some months later, or the last one of a month that is too short.

    Raises:
        ValueError: the result is not in the years 1 to 9999.
    """
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    month += 1
    if not 1 <= year <= 9999:
        raise ValueError(f"the year {year} is not in 1 to 9999")
    day = min(moment.day, calendar.monthrange(year, month)[1])
    return moment.replace(year=year, month=month, day=day)


def by_months(months: int) -> Step:
    """A step of so many months at a time."""
    return lambda moment, count: add_months(moment, months * count)


def same(moment: datetime) -> datetime:
    """The moment itself."""
    return moment


def first_day(months: int) -> Edge:
    """To the first day of the period, of 1, 3, 6 or 12 months, that a moment lies in."""
    return lambda moment: moment.replace(
        month=(moment.month - 1) // months * months + 1,
        day=1,
    )


def last_day(months: int) -> Edge:
    """To the last day of the period, of 1, 3, 6 or 12 months, that a moment lies in."""

    def edge(moment: datetime) -> datetime:
        month = (moment.month - 1) // months * months + months
        return moment.replace(month=month, day=calendar.monthrange(moment.year, month)[1])

    return edge
