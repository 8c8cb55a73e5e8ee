"""The variables that every job has: the run date and what follows from it, and who runs the job.

All dates follow from `run_date`, which is yesterday unless the caller sets it (`yyyyMMdd`);
`run_today` is the day after. The hours `run_today_h` and `run_today_hour` (`yyyyMMddHH`) are the
present hour on `run_today`, and may be set as well. Each has a twin with `_std` behind its name, in
the form `yyyy-MM-dd`, `yyyy-MM` or `yyyy-MM-dd HH`. Some are not what their names promise, and stay
as callers know them: `run_month_now_begin` and `run_month_now_end` are of the month before
`run_today`, `run_mon_start` is the month of `run_date` itself, and `run_mon_end` is December.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache

from entrance_server.domain.errors import InvalidRequest
from entrance_server.preprocess import refusals, values
from entrance_server.preprocess.calendar_steps import (
    Edge,
    Step,
    add_days,
    add_hours,
    add_months,
    by_months,
    first_day,
    last_day,
    same,
)
from entrance_server.preprocess.notes import shown
from entrance_server.preprocess.values import Moment, Value

RUN_DATE = "run_date"
HOURS = ("run_today_h", "run_today_hour")
SETTABLE = frozenset({RUN_DATE, *HOURS})

MONTH, DAY, HOUR = 7, 10, 13  # characters of `yyyy-MM`, `yyyy-MM-dd`, `yyyy-MM-dd HH`


def run_date(given: Mapping[str, str], now: datetime) -> datetime:
    """The run date, at the present time of day.

    Raises:
        InvalidRequest: the caller's `run_date` is not a date.
    """
    text = given.get(RUN_DATE)
    day = now - timedelta(days=1) if text is None else _parsed(RUN_DATE, text, "yyyyMMdd", "%Y%m%d")
    return day.replace(hour=now.hour, minute=now.minute, second=now.second, tzinfo=None)


def all_of(
    given: Mapping[str, str], now: datetime, *, user: str, submit_user: str
) -> dict[str, Value]:
    """Every built-in variable by name; `given` is what the caller set, without empty values.

    Raises:
        InvalidRequest: a date or hour that the caller set is none.
    """
    date = run_date(given, now)
    try:
        day = date.replace(hour=0, minute=0, second=0, microsecond=0)
        moments = {**_dates(day), **_hours(given, add_days(date, 1))}
    except (ValueError, OverflowError):
        raise _wrong(RUN_DATE, given.get(RUN_DATE, ""), "yyyyMMdd") from None
    users = {"user": user, "execute_user": user, "submit_user": submit_user}
    return {**moments, **{name: values.Text(text) for name, text in users.items()}}


@lru_cache(maxsize=16)  # most jobs are of one day
def _dates(date: datetime) -> Mapping[str, Moment]:
    """The variables that are the same all day long."""
    today = add_days(date, 1)
    month_before = add_months(today, -1)
    month = by_months(1)
    return {
        **_pair("run_date", date, add_days, same, DAY),
        **_pair("run_today", today, add_days, same, DAY),
        **_period("run_month", date, 1),
        **_period("run_month_now", month_before, 1),
        **_period("run_quarter", date, 3),
        **_period("run_half_year", date, 6),
        **_period("run_year", date, 12),
        **_pair("run_mon", date, month, same, MONTH),
        **_pair("run_mon_start", date, month, same, MONTH),
        **_pair("run_mon_end", date, month, last_day(12), MONTH),
        **_pair("run_last_mon_now", month_before, month, same, MONTH),
        **_pair("run_current_mon_now", today, month, same, MONTH),
        **_pair("run_mon_now", today, month, same, MONTH),
    }


def _hours(given: Mapping[str, str], today: datetime) -> dict[str, Moment]:
    moments: dict[str, Moment] = {}
    for name in HOURS:
        text = given.get(name)
        hour = today if text is None else _parsed(name, text, "yyyyMMddHH", "%Y%m%d%H")
        moments |= _pair(name, hour, add_hours, same, HOUR)
    return moments


def _period(name: str, at: datetime, months: int) -> dict[str, Moment]:
    step = by_months(months)
    return {
        **_pair(f"{name}_begin", at, step, first_day(months), DAY),
        **_pair(f"{name}_end", at, step, last_day(months), DAY),
    }


def _pair(name: str, at: datetime, step: Step, edge: Edge, length: int) -> dict[str, Moment]:
    return {
        name: Moment(at, step, edge, length, standard=False),
        f"{name}_std": Moment(at, step, edge, length, standard=True),
    }


def _parsed(name: str, text: str, form: str, parse_form: str) -> datetime:
    # strptime alone takes digits that are missing, and other ones than 0 to 9
    if len(text) != len(form) or not (text.isascii() and text.isdigit()):
        raise _wrong(name, text, form)
    try:
        return datetime.strptime(text, parse_form)
    except ValueError:
        raise _wrong(name, text, form) from None


def _wrong(name: str, text: str, form: str) -> InvalidRequest:
    return refusals.refusal(
        refusals.EXPRESSION_WRONG,
        f"{name} is '{shown(text)}'; write a date as {form}, such as {'2026013112'[: len(form)]}.",
        field=f"{refusals.VARIABLE}.{name}",
    )
