"""How an answer becomes the data of the envelope."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2

from entrance.v1 import entrance_pb2 as pb
from entrance_gateway.names import enum_name, enum_names, enum_number
from entrance_gateway.render import data_of, fields_of, words_of

STATUS = pb.JobStatus.DESCRIPTOR
LOG = pb.LogResponse(exec_id="exec_id1", task_id=7, from_line=3, log=["", "", "a", "a\nb"])


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (pb.JOB_STATUS_INITED, "Inited"),
        (pb.JOB_STATUS_WAIT_FOR_RETRY, "WaitForRetry"),
        (pb.JOB_STATUS_SCHEDULED, "Scheduled"),
        (pb.JOB_STATUS_RUNNING, "Running"),
        (pb.JOB_STATUS_SUCCEED, "Succeed"),
        (pb.JOB_STATUS_FAILED, "Failed"),
        (pb.JOB_STATUS_CANCELLED, "Cancelled"),
        (pb.JOB_STATUS_TIMEOUT, "Timeout"),
    ],
)
def test_a_state_has_its_documented_name(number: pb.JobStatus.ValueType, name: str) -> None:
    assert enum_name(STATUS, number) == name
    assert enum_number(STATUS, name) == number
    assert enum_number(STATUS, name.lower()) == number


def test_another_enum_has_short_lower_case_names() -> None:
    assert enum_names(pb.ResultType.DESCRIPTOR) == ["table", "text", "picture", "html"]
    assert enum_names(pb.LogLevel.DESCRIPTOR) == ["info", "warn", "error"]


def test_a_value_that_is_unset_or_unknown_has_no_name() -> None:
    assert enum_name(STATUS, 0) is None
    assert enum_name(STATUS, 99) is None
    assert enum_number(STATUS, "") is None
    assert enum_number(STATUS, "Unspecified") is None


def test_every_field_is_there_even_where_nothing_is_set() -> None:
    assert fields_of(pb.Job()) == {
        "execID": "",
        "taskID": 0,
        "status": None,
        "paused": False,
        "submitUser": "",
        "executeUser": "",
        "creator": "",
        "engineType": "",
        "runType": "",
        "code": "",
        "labels": {},
        "params": None,
        "source": {},
        "priority": 0,
        "progress": 0.0,
        "instance": "",
        "sessionID": "",
        "createTime": None,
        "startTime": None,
        "endTime": None,
        "error": None,
        "resultCount": 0,
        "attempt": 0,
        "removedTime": None,
    }


def test_a_job_is_written_field_by_field() -> None:
    data = fields_of(
        pb.Job(
            exec_id="exec_id1",
            task_id=2**53 + 1,
            status=pb.JOB_STATUS_FAILED,
            labels={"engineType": "duckdb"},
            params=pb.JobParams(variable={"n": "1"}),
            progress=0.5,
            create_time=Timestamp(seconds=1709208000, nanos=5_000_000),
            error=pb.JobError(code=20042, message="no"),
        )
    )
    assert data["taskID"] == 2**53 + 1
    assert data["status"] == "Failed"
    assert data["labels"] == {"engineType": "duckdb"}
    assert data["params"] == {"variable": {"n": "1"}, "configuration": None}
    assert data["createTime"] == "2024-02-29T12:00:00.005Z"
    assert data["error"] == {"code": 20042, "message": "no"}


def test_a_number_that_json_does_not_have_is_null() -> None:
    assert fields_of(pb.ProgressResponse(progress=float("nan")))["progress"] is None


def test_the_log_is_four_texts() -> None:
    assert data_of(LOG, pb.LogRequest()) == {
        "execID": "exec_id1",
        "taskID": 7,
        "fromLine": 3,
        "log": ["", "", "a", "a\nb"],
    }


def test_the_log_is_one_text_where_the_levels_are_not_wanted() -> None:
    answer = pb.LogResponse(log=["a\nb"])
    assert data_of(answer, pb.LogRequest(distinct_level=False))["log"] == "a\nb"
    assert data_of(pb.LogResponse(), pb.LogRequest(distinct_level=False))["log"] == ""


def test_resources_are_there_under_their_documented_names() -> None:
    metrics = pb.YarnMetrics(
        yarn_resource=[pb.YarnResource(application_id="a", queue_memory=2**40, queue_cores=1.5)],
        core_percent=0.25,
        core_rgb="#00ff00",
    )
    data = data_of(pb.ProgressWithResourceResponse(progress=1, yarn_metrics=metrics), LOG)
    assert data["yarnMetrics"] == {
        "yarnResource": [
            {
                "applicationId": "a",
                "queueName": "",
                "queueMemory": 2**40,
                "queueCores": 1.5,
                "queueInstances": 0,
            }
        ],
        "corePercent": 0.25,
        "memoryPercent": 0.0,
        "coreRGB": "#00ff00",
        "memoryRGB": "",
    }
    assert "yarnResource" not in data


@pytest.mark.parametrize("answer", [pb.ProgressWithResourceResponse(), pb.StreamProgressResponse()])
def test_without_resources_the_documented_null_is_there(answer: Any) -> None:
    data = data_of(answer, answer)
    assert data["yarnResource"] is None
    assert "yarnMetrics" not in data


def test_several_kills_have_an_envelope_each() -> None:
    ended = status_pb2.Status(
        code=grpc.StatusCode.FAILED_PRECONDITION.value[0], message="It ended."
    )
    unknown = status_pb2.Status(code=grpc.StatusCode.NOT_FOUND.value[0], message="No job.")
    answer = pb.KillJobsResponse(
        messages=[
            pb.KillJobResult(id="7", exec_id="exec_id7", task_id=7),
            pb.KillJobResult(id="exec_id8", exec_id="exec_id8", task_id=8, status=ended),
            pb.KillJobResult(id="9", status=unknown),
        ]
    )
    assert data_of(answer, pb.KillJobsRequest()) == {
        "messages": [
            {
                "method": "/api/entrance/7/kill",
                "status": 0,
                "message": "Successfully killed the job",
                "data": {"execID": "exec_id7", "taskID": 7},
            },
            {
                "method": "/api/entrance/exec_id8/kill",
                "status": 1,
                "message": "It ended.",
                "data": {"execID": "exec_id8", "taskID": 8},
            },
            {
                "method": "/api/entrance/9/kill",
                "status": 1,
                "message": "No job.",
                "data": {"execID": "9", "taskID": None},
            },
        ]
    }


def test_rows_are_arrays_of_texts_and_nulls() -> None:
    rows = [pb.Row(cells=[pb.Cell(text="1"), pb.Cell(), pb.Cell(text="")])]
    data = data_of(pb.ReadResultResponse(rows=rows, next_page_token="t"), pb.ReadResultRequest())
    assert data == {
        "resultSet": None,
        "rows": [["1", None, ""]],
        "content": "",
        "nextPageToken": "t",
    }


def test_bytes_are_base64() -> None:
    data = data_of(pb.ReadResultResponse(content=b"\0\xff"), pb.ReadResultRequest())
    assert data["content"] == "AP8="


def test_a_result_set_names_its_columns_as_documented() -> None:
    result = pb.ResultSet(
        type=pb.RESULT_TYPE_TABLE, columns=[pb.Column(name="n", data_type="bigint", comment="c")]
    )
    data = fields_of(result)
    assert data["type"] == "table"
    assert data["columns"] == [{"columnName": "n", "dataType": "bigint", "comment": "c"}]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Execute", "OK"),
        ("Status", "OK"),
        ("Kill", "Successfully killed the job"),
        ("Pause", "Successfully paused the job"),
        ("Resume", "Successfully resumed the job"),
    ],
)
def test_an_operation_that_went_well_says_so(name: str, words: str) -> None:
    assert words_of(f"entrance.v1.EntranceService.{name}") == words
