"""How `${name}` is replaced, calculated with, and left alone."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrance_server.domain.errors import InvalidRequest
from entrance_server.domain.notes import Note
from entrance_server.preprocess import variables

NOW = datetime(2024, 3, 1, 11, 5, 6)


def replace(code: str, dialect: str = "sql", **sent: str) -> tuple[str, tuple[Note, ...]]:
    known, notes = variables.resolve(sent, NOW, user="alice", submit_user="alice")
    result, more = variables.replace(code, known, dialect=dialect, max_length=1000)
    return result, notes + more


def warnings(notes: tuple[Note, ...]) -> list[str]:
    return [note.text for note in notes if note.level == "WARN"]


def refusal(code: str, dialect: str = "sql", **sent: str) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        replace(code, dialect, **sent)
    return caught.value


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("${num}", "301"),
        ("${num-2}", "299"),
        ("${ num + 2 }", "303"),
        ("${num*num}", "90601"),
        ("${num/2}", "150.5"),
        ("${num/0.5}", "602"),
        ("${num - third}", "300.66"),
        ("${num+1e2}", "401"),
        ("${num+007}", "308"),
        ("${third*third}", "0.1156"),
        ("${minus+2.5}", "0"),
        ("${minus*0}", "0"),
        ("${ten/4}", "2.5"),
        ("${ten/3}", "3.333333333333333333333333333333333"),
        ("${long_num}", "9223372036854775807"),
        ("${long_num+1}", "9223372036854775808"),
        ("${big_num-1}", "3000102010000000000000000200000"),
        ("${big_num+1}", "3000102010000000000000000200002"),
        ("${big_num*big_num}", str(3000102010000000000000000200001**2)),
    ],
)
def test_numbers_calculate_as_decimals(code: str, expected: str) -> None:
    result, notes = replace(
        code,
        num="301",
        third=".34",
        minus="-2.5",
        ten="10",
        long_num="9223372036854775807",
        big_num="3000102010000000000000000200001",
    )
    assert result == expected
    assert [note.level for note in notes] == ["INFO"]
    assert notes[0].text.startswith(f"Variables put in: {code} = {expected[:60]}")


@pytest.mark.parametrize("text", ["3.00", "1e5", "+7", "007", "-0", "1_000", "x", " 5", "٣"])
def test_a_variable_by_itself_stays_as_it_was_sent(text: str) -> None:
    assert replace("<${x}>", x=text)[0] == f"<{text}>"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("${zero+1}", "01"),
        ("${area+num}", "0427"),
        ("${name+_tmp}", "flights_tmp"),
        ("${name + name}", "flightsflights"),
        ("${name+1.5}", "flights1.5"),
        ("${huge+1}", "9" * 101 + "1"),
        ("${steep+1}", "1e9991"),
    ],
)
def test_what_is_no_number_or_starts_with_0_is_text_and_joins(code: str, expected: str) -> None:
    result, _ = replace(
        code, zero="0", area="042", num="7", name="flights", huge="9" * 101, steep="1e999"
    )
    assert result == expected


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("${name-1}", "'flights' is text, which takes + alone"),
        ("${zero*2}", "'0' is text, which takes + alone"),
        ("${num-other}", "'other' is neither a number nor a variable with one"),
        ("${num-name}", "'flights' is neither"),
        ("${num/0}", "'0' divides nothing"),
        ("${num+}", "nothing stands behind the +"),
        ("${run_date*2}", "it is a date, which takes + and - alone"),
        ("${run_date+x}", "a date does not move by 'x'"),
        ("${run_date+1.5}", "a date does not move by '1.5'"),
        ("${run_date-9999999}", "not in the years 1 to 9999"),
        ("${run_year_end+9e8}", "not in the years 1 to 9999"),
        ("${run_mon+1e99}", "a date does not move by '1e99'"),
    ],
)
def test_a_calculation_that_can_not_be_made_is_refused_with_its_line(code: str, why: str) -> None:
    error = refusal(f"SELECT\n{code}", num="3", name="flights", zero="0")
    assert error.err_code == 20042
    assert error.message.startswith(f"Line 2: {code} can't be calculated: ")
    assert why in error.message


def test_the_operand_of_a_date_may_be_a_variable() -> None:
    assert replace("${run_date - days}", days="3.0")[0] == "20240226"


def test_names_that_are_not_set_stay_as_written_with_one_warning() -> None:
    code = "${a} ${b+1} ${a}"
    result, notes = replace(code)
    assert result == code
    assert warnings(notes) == ["Not set, or without a value, and left as written: ${a}, ${b+1}."]


@pytest.mark.parametrize(
    "code",
    ["echo ${HOME}", "${x:-y} ${x%.*} ${#x} ${x//a/b} ${x-word} ${x+} ${x*2}", "${a} ${a-b}"],
)
def test_shell_keeps_its_own_expansions_without_a_warning(code: str) -> None:
    assert replace(code, "shell", x="text") == (code, ())


def test_shell_calculates_with_variables_of_the_job() -> None:
    assert replace("${n+1} ${n} ${run_date-1}", "shell", n="2")[0] == "3 2 20240228"


@pytest.mark.parametrize(("dialect", "count"), [("sql", 1), ("python", 1), ("other", 0)])
def test_a_warning_is_given_where_the_language_has_no_such_form(dialect: str, count: int) -> None:
    assert len(warnings(replace("${x}", dialect)[1])) == count


@pytest.mark.parametrize(
    "code", ["${}", "${ }", "${1a}", "${_a}", "${a b}", "${a--1}", "$ {a}", "${a", "{a}", "$a"]
)
def test_what_is_no_reference_is_left_alone(code: str) -> None:
    assert replace(code, a="1", b="2") == (code, ())


def test_names_may_have_dots_and_digits() -> None:
    assert replace("${db.name2}", "sql", **{"db.name2": "x"})[0] == "x"


def test_values_are_not_searched_again() -> None:
    assert replace("${a} ${b}", a="${b}", b="${a}")[0] == "${b} ${a}"


def test_built_in_names_keep_their_value_with_a_warning() -> None:
    result, notes = replace(
        "${user} ${run_mon}", user="bob", run_mon="202001", execute_user="alice"
    )
    assert result == "alice 202402"
    assert warnings(notes) == ["Built in, and not set to what was sent: user, run_mon."]


def test_a_name_that_nothing_could_ask_for_gives_a_warning() -> None:
    (warning,) = warnings(replace("x", "sql", **{"my-var": "1", "ok": "2"})[1])
    assert "my-var" in warning
    assert "ok" not in warning


def test_a_value_can_not_break_the_line_of_a_note() -> None:
    _, (note,) = replace("${x}", x="a\n2024-01-01 00:00:00 ERROR b\x1b[31m" + "c" * 100)
    assert note.text.isprintable()
    assert len(note.text) < 200


def test_notes_name_only_the_first_of_many() -> None:
    (warning,) = warnings(replace("".join(f"${{x{i}}}" for i in range(100)))[1])
    assert warning.endswith("${x19} and 80 more.")


def test_a_result_that_is_too_long_is_refused() -> None:
    assert len(replace("${x}" * 50, x="y" * 20)[0]) == 1000
    assert "longer than 1000 characters" in refusal("${x}" * 51, x="y" * 20).message


def test_code_that_was_long_before_is_not_refused_for_that() -> None:
    assert len(replace("-" * 2000 + "${x}", x="y")[0]) == 2001


@given(st.text(), st.sampled_from(["sql", "python", "shell", "other"]))
def test_code_without_a_reference_is_unchanged(code: str, dialect: str) -> None:
    code = code.replace("${", "$")
    assert replace(code, dialect) == (code, ())


@given(st.text(alphabet="${}abAB+-*/ .\n19"), st.sampled_from(["shell", "other"]))
def test_names_that_are_not_set_leave_any_code_unchanged(code: str, dialect: str) -> None:
    assert replace(code, dialect) == (code, ())


@given(st.lists(st.sampled_from(["${", "$", "{", "}", *"xyz+-*/ .19", "${y}", "${x-"])))
def test_any_code_is_replaced_or_refused(parts: list[str]) -> None:
    result = ""
    err_code: int | None = 20042
    try:
        result, _ = replace("".join(parts), x="19", y="text", z="0")
    except InvalidRequest as error:
        err_code = error.err_code
    assert err_code == 20042
    assert "${y}" not in result
