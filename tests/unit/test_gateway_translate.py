"""How JSON, query and path become a request."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import users_pb2
from entrance_gateway import translate
from entrance_gateway.errors import Refusal
from entrance_gateway.operations import SERVICES, operations_of

OPERATIONS = {operation.name.rpartition(".")[2]: operation for operation in operations_of(SERVICES)}
LABELS_FORM = {
    "executionContent": {"code": "SELECT 1", "runType": "sql"},
    "labels": {"engineType": "duckdb", "userCreator": "alice-IDE"},
}
OLD_FORM = {"executionCode": "SELECT 1", "executeApplicationName": "duckdb"}


def submitted(body: dict[str, Any]) -> pb.SubmitRequest:
    raw = json.dumps(body).encode()
    request, _ = translate.from_body(OPERATIONS["Submit"], {}, raw)
    return cast(pb.SubmitRequest, request)


def kill_jobs(body: dict[str, Any], id: str = "7") -> pb.KillJobsRequest:
    raw = json.dumps(body).encode()
    request, _ = translate.from_body(OPERATIONS["KillJobs"], {"id": id}, raw)
    return cast(pb.KillJobsRequest, request)


def disabled(value: Any) -> users_pb2.SetUserDisabledRequest:
    raw = json.dumps({"disabled": value}).encode()
    request, _ = translate.from_body(OPERATIONS["SetUserDisabled"], {"name": "bob"}, raw)
    return cast(users_pb2.SetUserDisabledRequest, request)


def queried(name: str, *query: tuple[str, str], **path: str) -> Any:
    return translate.from_query(OPERATIONS[name], path or {"id": "7"}, query)


def test_the_labels_form_is_taken_field_by_field() -> None:
    assert submitted(
        {
            "executionContent": {"code": "SELECT ${n}", "runType": "sql"},
            "params": {
                "variable": {"n": "1"},
                "configuration": {
                    "startup": {"memory": "1g"},
                    "runtime": {"limit": "5"},
                    "special": {"x": "y"},
                },
            },
            "labels": {"engineType": "duckdb-1.5", "userCreator": "alice-IDE", "route": "blue"},
            "source": {"scriptPath": "/a.sql"},
            "requestID": "once",
            "priority": 5,
            "executeUser": "bob",
        }
    ) == pb.SubmitRequest(
        execution_content=pb.ExecutionContent(code="SELECT ${n}", run_type="sql"),
        params=pb.JobParams(
            variable={"n": "1"},
            configuration=pb.JobConfiguration(
                startup={"memory": "1g"}, runtime={"limit": "5"}, special={"x": "y"}
            ),
        ),
        labels={"engineType": "duckdb-1.5", "userCreator": "alice-IDE", "route": "blue"},
        source={"scriptPath": "/a.sql"},
        request_id="once",
        priority=5,
        execute_user="bob",
    )


def test_the_old_form_becomes_the_labels_form() -> None:
    assert submitted(
        {
            "executionCode": "print(1)",
            "runType": "py",
            "executeApplicationName": "python",
            "requestApplicationName": "Visualis",
            "formatCode": True,
            "params": {"variable": {"n": 1}},
            "source": {"scriptPath": "/a.py"},
        }
    ) == pb.SubmitRequest(
        execution_content=pb.ExecutionContent(code="print(1)", run_type="py"),
        params=pb.JobParams(variable={"n": "1"}),
        labels={"engineType": "python", "creator": "Visualis", "formatCode": "true"},
        source={"scriptPath": "/a.py"},
    )


def test_the_old_form_has_its_documented_defaults() -> None:
    request = submitted(OLD_FORM)
    assert request.execution_content.run_type == "sql"
    assert request.labels == {"engineType": "duckdb", "creator": "IDE"}


def test_labels_beside_the_old_form_win_over_what_is_made_from_it() -> None:
    request = submitted({**OLD_FORM, "labels": {"userCreator": "alice-X", "engineType": "spark"}})
    assert request.labels == {
        "engineType": "spark",
        "creator": "IDE",
        "userCreator": "alice-X",
    }


def test_the_labels_form_wins_where_a_body_has_both() -> None:
    request = submitted({**OLD_FORM, **LABELS_FORM})
    assert request.labels == LABELS_FORM["labels"]


def test_an_old_form_without_an_engine_leaves_the_label_out() -> None:
    assert submitted({"executionCode": "x"}).labels == {"creator": "IDE"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (60, "60"),
        (-1, "-1"),
        (1.5, "1.5"),
        (2**70, str(2**70)),
        ([1, "a", None], '[1,"a",null]'),
        ({"b": {"c": "ä"}}, '{"b":{"c":"ä"}}'),
    ],
)
def test_a_value_of_a_map_becomes_text(value: Any, text: str) -> None:
    assert submitted({**LABELS_FORM, "source": {"x": value}}).source == {"x": text}


def test_null_is_the_same_as_leaving_out() -> None:
    request = submitted({**LABELS_FORM, "source": {"x": None}, "params": None, "priority": None})
    assert request == submitted(LABELS_FORM)


def test_unknown_fields_are_passed_over() -> None:
    assert submitted({**LABELS_FORM, "umUser": {"x": 1}, "method": 5}) == submitted(LABELS_FORM)


def test_a_field_may_have_its_name_in_the_proto() -> None:
    assert submitted({**LABELS_FORM, "request_id": "a"}).request_id == "a"


@pytest.mark.parametrize(
    ("change", "field", "told"),
    [
        ({"executionContent": "SELECT 1"}, "executionContent", "must be an object"),
        ({"executionContent": {"code": 5}}, "executionContent.code", "must be a text"),
        ({"executionContent": {"runType": []}}, "executionContent.runType", "must be a text"),
        ({"labels": []}, "labels", "must be an object"),
        ({"params": "x"}, "params", "must be an object"),
        ({"params": {"variable": 1}}, "params.variable", "must be an object"),
        (
            {"params": {"configuration": {"runtime": "x"}}},
            "params.configuration.runtime",
            "must be an object",
        ),
        ({"priority": "high"}, "priority", "must be an integer"),
        ({"priority": 1.5}, "priority", "must be an integer"),
        ({"priority": True}, "priority", "must be an integer"),
        ({"priority": 2**31}, "priority", "must be an integer of at most 32 bits"),
        ({"requestID": 5}, "requestID", "must be a text"),
        ({"source": {"a": "\ud800"}}, "source.a", "surrogate"),
        ({"source": {"a": ["\ud800"]}}, "source.a", "surrogate"),
        ({"executionContent": {"code": "\udfff"}}, "executionContent.code", "surrogate"),
    ],
)
def test_a_wrong_type_is_refused_by_the_name_that_the_caller_wrote(
    change: dict[str, Any], field: str, told: str
) -> None:
    with pytest.raises(Refusal, match=told) as refusal:
        submitted({**LABELS_FORM, **change})
    assert [violation.field for violation in refusal.value.violations] == [field]
    assert f"'{field}'" in refusal.value.words


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"executionCode": 5}, "executionCode"),
        ({"runType": {}}, "runType"),
        ({"executeApplicationName": []}, "executeApplicationName"),
        ({"requestApplicationName": 1}, "requestApplicationName"),
        ({"labels": "x"}, "labels"),
    ],
)
def test_a_wrong_type_in_the_old_form_is_refused_by_its_old_name(
    change: dict[str, Any], field: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        submitted({**OLD_FORM, **change})
    assert [violation.field for violation in refusal.value.violations] == [field]


def test_half_a_surrogate_pair_in_a_name_is_refused() -> None:
    with pytest.raises(Refusal, match=r"surrogate"):
        submitted({**LABELS_FORM, "labels": {"\ud800": "x"}})


def test_nesting_that_json_can_be_read_with_but_not_written_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_deep(_: object) -> str:
        raise RecursionError

    monkeypatch.setattr(translate, "encode", too_deep)
    with pytest.raises(Refusal, match="nested too deeply"):
        submitted({**LABELS_FORM, "source": {"x": []}})


def test_a_long_name_is_shown_in_part() -> None:
    with pytest.raises(Refusal) as refusal:
        submitted({**LABELS_FORM, "labels": {"x" * 10_000: "\ud800"}})
    assert len(refusal.value.words) < 400


def test_the_lists_of_ids_take_numbers_and_texts() -> None:
    request = kill_jobs({"idList": ["exec_id1", 7, "8"], "taskIDList": ["1", 2, None]})
    assert request.id_list == ["exec_id1", "7", "8"]
    assert request.task_id_list == [1, 2, 0]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"idList": "7"}, "idList"),
        ({"idList": [["7"]]}, "idList[0]"),
        ({"idList": ["7", True]}, "idList[1]"),
        ({"idList": [None]}, "idList[0]"),
        ({"taskIDList": [1, "x"]}, "taskIDList[1]"),
        ({"taskIDList": [2**63]}, "taskIDList[0]"),
    ],
)
def test_a_wrong_item_of_a_list_is_named(body: dict[str, Any], field: str) -> None:
    with pytest.raises(Refusal) as refusal:
        kill_jobs(body)
    assert [violation.field for violation in refusal.value.violations] == [field]


def test_the_path_wins_over_the_body() -> None:
    assert kill_jobs({"id": ["not even a text"]}, id="#id").id == "#id"


@pytest.mark.parametrize("name", ["taskID", "task_id"])
def test_a_query_parameter_has_either_name(name: str) -> None:
    assert queried("Status", (name, "12")) == pb.StatusRequest(id="7", task_id=12)


def test_the_path_wins_over_the_query() -> None:
    assert queried("Status", ("id", "8")).id == "7"


def test_the_query_of_the_log_is_read() -> None:
    request = queried("Log", ("fromLine", "-5"), ("size", "10"), ("distinctLevel", "false"))
    assert request == pb.LogRequest(id="7", from_line=-5, size=10, distinct_level=False)


def test_what_the_log_is_not_asked_stays_unset() -> None:
    request = queried("Log", ("size", ""), ("fromLine", ""), ("distinctLevel", ""))
    assert request == pb.LogRequest(id="7")
    assert not request.HasField("size")
    assert not request.HasField("distinct_level")


@pytest.mark.parametrize("text", ["true", "1", "no", "0"])
def test_only_false_turns_the_split_by_level_off(text: str) -> None:
    assert queried("Log", ("distinctLevel", text)).distinct_level is True


@pytest.mark.parametrize(
    "query",
    [
        [("statuses", "Running"), ("statuses", "waitforretry")],
        [("statuses", "running,JOB_STATUS_WAIT_FOR_RETRY")],
    ],
)
def test_a_list_in_the_query_is_repeated_or_has_commas(query: list[tuple[str, str]]) -> None:
    request = translate.from_query(OPERATIONS["ListJobs"], {}, query)
    assert request == pb.ListJobsRequest(
        statuses=[pb.JOB_STATUS_RUNNING, pb.JOB_STATUS_WAIT_FOR_RETRY]
    )


def test_a_time_in_the_query_is_rfc_3339() -> None:
    request = translate.from_query(
        OPERATIONS["ListJobs"], {}, [("createTimeFrom", "2024-02-29T12:00:00+01:00")]
    )
    assert cast(pb.ListJobsRequest, request).create_time_from.seconds == 1709204400


@pytest.mark.parametrize(
    ("name", "query", "told"),
    [
        ("Log", ("size", "many"), "'size' must be an integer"),
        ("Log", ("size", "99999999999"), "'size' must be an integer of at most 32 bits"),
        ("Log", ("size", "\uff19"), "'size' must be an integer"),
        ("Status", ("task_id", "9" * 30), "'task_id' must be an integer"),
        ("ListJobs", ("statuses", "Done"), "must be one of Inited, WaitForRetry, Scheduled"),
        ("ListJobs", ("statuses", "JOB_STATUS_UNSPECIFIED"), "must be one of"),
        ("ListJobs", ("createTimeTo", "yesterday"), "'createTimeTo' must be a time such as"),
        ("StreamLog", ("levels", "fatal"), "must be one of info, warn, error"),
    ],
)
def test_a_wrong_query_parameter_is_refused_by_its_name(
    name: str, query: tuple[str, str], told: str
) -> None:
    with pytest.raises(Refusal, match=told):
        queried(name, query)


def test_a_parameter_given_twice_is_refused() -> None:
    with pytest.raises(Refusal, match="'size' is given twice"):
        queried("Log", ("size", "1"), ("size", "2"))


def test_unknown_parameters_are_passed_over() -> None:
    assert queried("Status", ("creator", "IDE"), ("x", "y")) == pb.StatusRequest(id="7")


def test_a_number_in_the_path_is_read_as_one() -> None:
    assert queried("ReadResult", id="7", index="3").index == 3
    with pytest.raises(Refusal, match="'index' must be an integer"):
        queried("ReadResult", id="7", index="first")


@pytest.mark.parametrize(
    ("given", "meant"),
    [(True, True), ("True", True), ("1", True), ("yes", True), (False, False), ("off", False)],
)
def test_a_boolean_may_be_a_word(given: Any, meant: bool) -> None:
    assert disabled(given).disabled is meant


@pytest.mark.parametrize("given", ["", "maybe", "nein", 1, 0, 0.5, [], {}])
def test_another_word_is_no_boolean(given: Any) -> None:
    with pytest.raises(Refusal, match="'disabled' must be true or false"):
        disabled(given)
