"""What a submit call must say, and what it is told when it does not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from entrance_server.domain import errors
from entrance_server.domain.job import JobParams, Principal
from entrance_server.domain.run_policy import RunPolicies, RunPolicy
from entrance_server.engines.connections import Connections
from entrance_server.engines.registry import EngineInfo, EngineRegistry
from entrance_server.service.requests import RequestParser
from entrance_server.service.views import SubmitCommand

ALICE = Principal("alice", is_admin=False)
ADMIN = Principal("admin", is_admin=True)
GOOD = SubmitCommand(code="SELECT 1", run_type="sql", labels={"engineType": "duckdb"})

ENGINES = EngineRegistry(
    [
        EngineInfo("duckdb", "1.5", ("sql",), "SQL"),
        EngineInfo("shell", "5", ("shell", "sh"), "Shell"),
    ],
    aliases={"hive": "duckdb"},
)
PARSER = RequestParser(
    engines=ENGINES,
    connections=Connections({}),
    policies=RunPolicies(RunPolicy()),
    max_code_bytes=100,
)


def change(**fields: Any) -> SubmitCommand:
    return dataclasses.replace(GOOD, **fields)


def refusal(command: SubmitCommand, principal: Principal = ALICE) -> errors.InvalidRequest:
    with pytest.raises(errors.InvalidRequest) as caught:
        PARSER.parse(principal, command)
    return caught.value


def test_a_job_runs_as_its_caller_from_the_default_creator() -> None:
    spec = PARSER.parse(ALICE, GOOD)
    assert (spec.submit_user, spec.execute_user, spec.creator) == ("alice", "alice", "IDE")
    assert spec.labels == {"engineType": "duckdb", "userCreator": "alice-IDE"}


@pytest.mark.parametrize("label", ["duckdb", "duckdb-1.5", "hive", "hive-3.1"])
def test_an_engine_is_found_by_its_type_an_alias_and_with_a_version(label: str) -> None:
    spec = PARSER.parse(ALICE, change(labels={"engineType": label}))
    assert spec.engine_type == "duckdb"
    assert spec.labels["engineType"] == label


def test_an_unknown_engine_is_told_which_ones_there_are() -> None:
    error = refusal(change(labels={"engineType": "presto-0.2"}))
    assert error.err_code == 20004
    assert "duckdb, shell" in error.message
    assert error.violations[0].field == "labels.engineType"


@pytest.mark.parametrize("labels", [{}, {"engineType": " "}])
def test_a_missing_engine_type_is_named(labels: dict[str, str]) -> None:
    assert refusal(change(labels=labels)).err_code == 20001


def test_a_wrong_run_type_is_told_the_right_ones() -> None:
    error = refusal(change(labels={"engineType": "shell"}))
    assert error.err_code == 20004
    assert "shell, sh" in error.message


def test_a_missing_run_type_is_named() -> None:
    error = refusal(change(run_type=""))
    assert (error.err_code, error.violations[0].field) == (20001, "executionContent.runType")


@pytest.mark.parametrize("code", ["", " \n\t "])
def test_blank_code_is_refused(code: str) -> None:
    assert refusal(change(code=code)).err_code == 20007


def test_code_over_the_limit_is_refused_with_the_limit() -> None:
    assert "at most 100" in refusal(change(code="é" * 51)).message


def test_code_at_the_limit_is_taken() -> None:
    assert PARSER.parse(ALICE, change(code="é" * 50)).code == "é" * 50


def test_a_nul_character_in_code_is_refused() -> None:
    assert refusal(change(code="SELECT\0 1")).reason == "CODE_HAS_NUL"


def test_an_administrator_may_submit_for_somebody_else() -> None:
    spec = PARSER.parse(ADMIN, change(execute_user="bob"))
    assert (spec.submit_user, spec.execute_user) == ("admin", "bob")


def test_nobody_else_may() -> None:
    with pytest.raises(errors.PermissionDenied):
        PARSER.parse(ALICE, change(execute_user="bob"))


@pytest.mark.parametrize("user", ["../bob", "b b", "x" * 65, "-bob"])
def test_a_user_name_of_wrong_characters_is_refused(user: str) -> None:
    assert refusal(change(execute_user=user), ADMIN).err_code == 20005


def test_the_creator_comes_from_the_label_behind_its_last_dash() -> None:
    command = change(
        execute_user="jean-luc", labels={**GOOD.labels, "userCreator": "jean-luc-Sched"}
    )
    assert PARSER.parse(ADMIN, command).creator == "Sched"


def test_a_creator_may_be_given_alone() -> None:
    spec = PARSER.parse(ALICE, change(labels={**GOOD.labels, "creator": "Sched"}))
    assert spec.creator == "Sched"
    assert "creator" not in spec.labels


@pytest.mark.parametrize("label", ["bob-IDE", "IDE", "alice-", "alice-I DE"])
def test_a_user_creator_of_another_user_or_form_is_refused(label: str) -> None:
    assert refusal(change(labels={**GOOD.labels, "userCreator": label})).err_code == 20004


@pytest.mark.parametrize("priority", [-101, 101])
def test_a_priority_out_of_range_is_refused(priority: int) -> None:
    assert refusal(change(priority=priority)).violations[0].field == "priority"


def test_a_request_id_over_its_limit_is_refused() -> None:
    assert refusal(change(request_id="x" * 129)).violations[0].field == "requestID"


@pytest.mark.parametrize(
    "entries",
    [{"": "x"}, {"a\0": "x"}, {"a": "\0"}, {"a": "x" * 70_000}, {f"k{n}": "" for n in range(501)}],
)
def test_parameters_that_are_unreadable_or_too_large_are_refused(entries: dict[str, str]) -> None:
    error = refusal(change(params=JobParams(variable=entries)))
    assert error.err_code == 20010
    assert error.violations[0].field == "params.variable"


@pytest.mark.parametrize("part", ["labels", "source"])
def test_what_stands_in_every_list_is_small(part: str) -> None:
    given = {**GOOD.labels, "x": "x" * 8_000}
    PARSER.parse(ALICE, change(**{part: given}))
    error = refusal(change(**{part: {**given, "y": "y" * 200}}))
    assert (error.err_code, error.violations[0].field) == (20010, part)


def test_the_caller_s_address_is_kept_whatever_the_request_says() -> None:
    spec = PARSER.parse(ALICE, change(source={"requestIP": "1.2.3.4"}, peer="127.0.0.1"))
    assert spec.source["requestIP"] == "127.0.0.1"


@pytest.mark.parametrize("label", ["jobRunningTimeout", "jobQueuingTimeout", "retryNum"])
def test_a_label_that_acts_must_be_readable(label: str) -> None:
    error = refusal(change(labels={"engineType": "duckdb", label: "soon"}))
    assert (error.err_code, error.violations[0].field) == (20004, f"labels.{label}")
