"""The variables that every job has, at ordinary and at awkward dates."""

from __future__ import annotations

from datetime import datetime

import pytest

from entrance_server.domain.errors import InvalidRequest
from entrance_server.preprocess import builtin_variables

NOW = datetime(2024, 3, 1, 11, 5, 6)

LEAP_DAY = {  # now 2024-03-01 11:05, so that the run date is 29 February
    "run_date": ("20240229", "2024-02-29"),
    "run_today": ("20240301", "2024-03-01"),
    "run_today_h": ("2024030111", "2024-03-01 11"),
    "run_today_hour": ("2024030111", "2024-03-01 11"),
    "run_month_begin": ("20240201", "2024-02-01"),
    "run_month_end": ("20240229", "2024-02-29"),
    "run_month_now_begin": ("20240201", "2024-02-01"),
    "run_month_now_end": ("20240229", "2024-02-29"),
    "run_quarter_begin": ("20240101", "2024-01-01"),
    "run_quarter_end": ("20240331", "2024-03-31"),
    "run_half_year_begin": ("20240101", "2024-01-01"),
    "run_half_year_end": ("20240630", "2024-06-30"),
    "run_year_begin": ("20240101", "2024-01-01"),
    "run_year_end": ("20241231", "2024-12-31"),
    "run_mon": ("202402", "2024-02"),
    "run_mon_start": ("202402", "2024-02"),
    "run_mon_end": ("202412", "2024-12"),
    "run_last_mon_now": ("202402", "2024-02"),
    "run_current_mon_now": ("202403", "2024-03"),
    "run_mon_now": ("202403", "2024-03"),
}


def values(
    now: datetime = NOW, user: str = "alice", submit_user: str = "alice", **given: str
) -> dict[str, str]:
    found = builtin_variables.all_of(given, now, user=user, submit_user=submit_user)
    return {name: value.text for name, value in found.items()}


def moved(name: str, operator: str, count: str, run_date: str) -> str:
    found = builtin_variables.all_of({"run_date": run_date}, NOW, user="alice", submit_user="alice")
    return found[name].calculate(operator, count)


@pytest.mark.parametrize("name", LEAP_DAY)
def test_each_date_has_a_compact_and_a_standard_form(name: str) -> None:
    found = values()
    assert (found[name], found[f"{name}_std"]) == LEAP_DAY[name]


def test_there_are_no_other_built_in_variables() -> None:
    dates = {*LEAP_DAY, *(f"{name}_std" for name in LEAP_DAY)}
    assert values().keys() == dates | {"user", "execute_user", "submit_user"}


def test_the_users_are_who_runs_and_who_sent_the_job() -> None:
    found = values(user="alice", submit_user="scheduler")
    assert (found["user"], found["execute_user"]) == ("alice", "alice")
    assert found["submit_user"] == "scheduler"


@pytest.mark.parametrize(
    ("run_date", "expected"),
    [
        (
            "20230131",
            {
                "run_today": "20230201",
                "run_month_begin": "20230101",
                "run_month_end": "20230131",
                "run_month_now_begin": "20230101",
                "run_month_now_end": "20230131",
                "run_quarter_end": "20230331",
                "run_last_mon_now": "202301",
                "run_mon_now": "202302",
            },
        ),
        (
            "20230330",  # run_today is the 31st, and the month before has no such day
            {
                "run_today": "20230331",
                "run_month_now_begin": "20230201",
                "run_month_now_end": "20230228",
                "run_last_mon_now": "202302",
                "run_current_mon_now": "202303",
            },
        ),
        (
            "20230331",
            {
                "run_today": "20230401",
                "run_month_now_end": "20230331",
                "run_quarter_begin": "20230101",
                "run_quarter_end": "20230331",
                "run_half_year_begin": "20230101",
                "run_half_year_end": "20230630",
            },
        ),
        ("20230401", {"run_quarter_begin": "20230401", "run_quarter_end": "20230630"}),
        ("20230630", {"run_quarter_begin": "20230401", "run_half_year_end": "20230630"}),
        (
            "20230701",
            {
                "run_quarter_begin": "20230701",
                "run_quarter_end": "20230930",
                "run_half_year_begin": "20230701",
                "run_half_year_end": "20231231",
            },
        ),
        (
            "20231231",
            {
                "run_today": "20240101",
                "run_month_now_begin": "20231201",
                "run_month_now_end": "20231231",
                "run_quarter_begin": "20231001",
                "run_year_begin": "20230101",
                "run_year_end": "20231231",
                "run_mon": "202312",
                "run_mon_end": "202312",
                "run_last_mon_now": "202312",
                "run_mon_now": "202401",
            },
        ),
        ("21000228", {"run_today": "21000301", "run_month_end": "21000228"}),
        ("20200228", {"run_today": "20200229", "run_month_end": "20200229"}),
        ("00050607", {"run_date_std": "0005-06-07", "run_mon": "000506"}),
    ],
)
def test_dates_follow_from_a_run_date_of_the_caller(
    run_date: str, expected: dict[str, str]
) -> None:
    found = values(run_date=run_date)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("now", "run_date"),
    [
        (datetime(2024, 1, 1, 0, 0), "20231231"),
        (datetime(2024, 3, 1, 23, 59), "20240229"),
        (datetime(2023, 3, 1), "20230228"),
    ],
)
def test_the_run_date_is_yesterday_where_the_caller_is(now: datetime, run_date: str) -> None:
    assert values(now)["run_date"] == run_date


def test_the_hour_is_the_present_one_on_run_today() -> None:
    found = values(datetime(2026, 5, 5, 3, 59), run_date="20200228")
    assert found["run_today_h"] == "2020022903"
    assert found["run_today_hour_std"] == "2020-02-29 03"


def test_the_caller_may_set_each_hour() -> None:
    found = values(run_today_h="2026010109")
    assert (found["run_today_h"], found["run_today_h_std"]) == ("2026010109", "2026-01-01 09")
    assert found["run_today_hour"] == "2024030111"


@pytest.mark.parametrize(
    ("name", "operator", "count", "run_date", "expected"),
    [
        ("run_date", "-", "1", "20240301", "20240229"),
        ("run_date", "-", "1", "20230301", "20230228"),
        ("run_date", "+", "1", "20231231", "20240101"),
        ("run_date_std", "-", "365", "20240229", "2023-03-01"),
        ("run_today", "+", "1", "20240228", "20240301"),
        ("run_month_begin", "-", "1", "20240131", "20231201"),
        ("run_month_begin_std", "+", "1", "20240131", "2024-02-01"),
        ("run_month_end", "-", "1", "20240331", "20240229"),
        ("run_month_end", "-", "1", "20230331", "20230228"),
        ("run_month_end_std", "+", "1", "20230131", "2023-02-28"),
        ("run_month_now_begin", "-", "1", "20240131", "20231201"),
        ("run_month_now_end", "+", "1", "20240130", "20240131"),
        ("run_quarter_begin", "-", "1", "20240229", "20231001"),
        ("run_quarter_end", "+", "1", "20230331", "20230630"),
        ("run_quarter_end_std", "-", "4", "20230331", "2022-03-31"),
        ("run_half_year_begin", "-", "1", "20200228", "20190701"),
        ("run_half_year_end", "+", "1", "20230831", "20240630"),
        ("run_year_begin_std", "-", "3", "20200228", "2017-01-01"),
        ("run_year_end", "+", "10", "20200228", "20301231"),
        ("run_year_end", "+", "1", "20240229", "20251231"),
        ("run_mon", "-", "1", "20240131", "202312"),
        ("run_mon_std", "+", "1", "20240131", "2024-02"),
        ("run_mon_start", "+", "13", "20240131", "202502"),
        ("run_mon_end", "-", "1", "20240131", "202312"),
        ("run_last_mon_now", "-", "1", "20240131", "202312"),
        ("run_mon_now", "+", "11", "20240131", "202501"),
        ("run_today_h", "+", "12", "20200228", "2020022923"),
        ("run_today_h", "+", "13", "20200228", "2020030100"),
        ("run_today_hour_std", "-", "12", "20200228", "2020-02-28 23"),
    ],
)
def test_a_date_moves_by_its_own_unit(
    name: str, operator: str, count: str, run_date: str, expected: str
) -> None:
    assert moved(name, operator, count, run_date) == expected


@pytest.mark.parametrize(
    "wrong",
    ["2024-02-29", "20230229", "20231301", "2023123", " 20231231", "\u0662" * 8, "99991231",
     "00010101", "today"],
)  # fmt: skip
def test_a_wrong_run_date_is_refused_with_its_form(wrong: str) -> None:
    with pytest.raises(InvalidRequest, match="yyyyMMdd, such as 20260131") as caught:
        values(run_date=wrong)
    assert caught.value.err_code == 20042
    assert caught.value.violations[0].field == "params.variable.run_date"


@pytest.mark.parametrize("wrong", ["20260101", "2026010124", "2026-01-01 09"])
def test_a_wrong_hour_is_refused_with_its_form(wrong: str) -> None:
    with pytest.raises(InvalidRequest, match="yyyyMMddHH, such as 2026013112"):
        values(run_today_hour=wrong)
