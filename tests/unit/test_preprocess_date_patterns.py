"""How `&{…}` writes the run date."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrance_server.domain.errors import InvalidRequest
from entrance_server.domain.notes import Note
from entrance_server.preprocess import date_patterns

RUN_DATE = datetime(2021, 4, 2, 15, 7, 9)


def replace(
    code: str, dialect: str = "sql", run_date: datetime = RUN_DATE, max_length: int = 1000
) -> tuple[str, tuple[Note, ...]]:
    return date_patterns.replace(code, run_date, dialect=dialect, max_length=max_length)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("&{yyyy-MM}", "2021-04"),
        ("&{yyyy-01-01}", "2021-01-01"),
        ("&{yyyy-01-01%-2y}", "2019-01-01"),
        ("&{yyyy-MM-01%-2M}", "2021-02-01"),
        ("&{yyyy-MM-dd%-2d}", "2021-03-31"),
        ("&{yyyy MM ----- HH%-1H}", "2021 04 ----- 14"),
        ("&{yyyyMMdd%-1d}", "20210401"),
        ("&{yyyyMM01%-1M}", "20210301"),
        ("&{HH%-1H}", "14"),
        ("&{yyyyMMdd%-1M%+1d%2y}", "20230303"),
        ("&{ yyyyMMdd % -1d }", "20210401 "),
        ("&{yyyy-MM-dd HH:mm:ss%-10m%-10s}", "2021-04-02 14:56:59"),
        ("&{yyyy-MM-dd'T'HH}", "2021-04-02T15"),
        ("&{yy/M/d ''H:m:s}", "21/4/2 '15:7:9"),
        ("&{d%-1d}", "1"),
        ("&{yyyy年MM月}", "2021年04月"),
        ("abc&{yyyyMMdd%-1d}def", "abc20210401def"),
    ],
)
def test_a_pattern_is_the_run_date_in_its_form(pattern: str, expected: str) -> None:
    assert replace(pattern)[0] == expected


@pytest.mark.parametrize(
    ("run_date", "pattern", "expected"),
    [
        (datetime(2023, 3, 31), "&{yyyyMMdd%-1M}", "20230228"),
        (datetime(2024, 3, 31), "&{yyyyMMdd%-1M}", "20240229"),
        (datetime(2024, 2, 29), "&{yyyyMMdd%-1y}", "20230228"),
        (datetime(2024, 1, 31), "&{yyyyMMdd%1M%-1M}", "20240129"),
        (datetime(2024, 1, 1), "&{yyyyMMdd%-1d}", "20231231"),
        (datetime(987, 6, 5), "&{yyyy-yy-y}", "0987-87-987"),
    ],
)
def test_a_shift_keeps_to_the_calendar(run_date: datetime, pattern: str, expected: str) -> None:
    assert replace(pattern, run_date=run_date)[0] == expected


@pytest.mark.parametrize(
    "code",
    ["&{}", "&{d}", "&{1, 2}", "&{YYYY-MM-DD}", "&{yyyyMMddHHmm'}", "&{yyyyy}", "&{foo%-1d}",
     "& {yyyy}", "&{yyyy", "#{yyyy}", "{ds=20220516}", "&{%-1d}", "&{yyyy\n}", "&{{yyyy}}"]
)  # fmt: skip
def test_what_is_no_pattern_is_left_alone(code: str) -> None:
    assert replace(code)[0] == code


def test_sql_gives_a_warning_for_letters_that_are_not_known() -> None:
    assert replace("&{YYYY-MM-DD}")[1] == (
        Note(
            "WARN",
            "No date patterns, and left as written (letters are y M d H m s): &{YYYY-MM-DD}.",
        ),
    )


@pytest.mark.parametrize("dialect", ["python", "shell", "other"])
def test_other_languages_have_their_own_use_for_it(dialect: str) -> None:
    assert replace("known &{x, y}", dialect) == ("known &{x, y}", ())


def test_what_was_put_in_is_told() -> None:
    _, notes = replace("&{yyyyMMdd%-1d} &{yyyyMMdd%-1d}")
    assert notes == (Note("INFO", "Dates put in: &{yyyyMMdd%-1d} = 20210401."),)


@pytest.mark.parametrize(
    "pattern",
    ["&{yyyyMMdd%-1w}", "&{yyyyMMdd%}", "&{yyyyMMdd%1}", "&{yyyyMMdd%d}", "&{yyyyMMdd%1.5d}",
     "&{yyyyMMdd%-9999y}", "&{yyyyMMdd%999999999d}", "&{yyyyMMdd%9999999999d}"]
)  # fmt: skip
def test_a_wrong_shift_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^Line 3: .* write shifts as %-1d") as caught:
        replace(f"\n\n'{pattern}'")
    assert caught.value.err_code == 20042


def test_a_result_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="longer than 1000 characters"):
        replace(("&{yy" + "-y" * 90 + "}") * 4)


@given(st.text(), st.sampled_from(["sql", "python"]))
def test_code_without_a_pattern_is_unchanged(code: str, dialect: str) -> None:
    code = code.replace("&{", "&")
    assert replace(code, dialect) == (code, ())


@given(st.text(alphabet="&{}yMdHms%+-1' x\n"))
def test_any_code_is_replaced_or_refused(code: str) -> None:
    err_code: int | None = 20042
    try:
        replace(f"&{{{code}}}")
    except InvalidRequest as error:
        err_code = error.err_code
    assert err_code == 20042
