"""From the service's terms to the public proto."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.protobuf import json_format

from entrance.v1 import entrance_pb2 as pb
from entrance_server.domain.job import (
    Column,
    ProgressInfo,
    Resources,
    ResultSet,
    ResultType,
)
from entrance_server.domain.status import JobStatus
from entrance_server.logs.levels import LogLevel
from entrance_server.rpc import enums, responses
from entrance_server.rpc.yarn import Machine
from entrance_server.service.views import JobPage, ProgressView, ResultPage
from tests.unit.rpc_jobs import JOB

WAITING = replace(
    JOB, status=JobStatus.INITED, session_id=None, start_time=None, end_time=None, error=None
)
MACHINE = Machine(cores=4, memory_bytes=2**30)


@pytest.mark.parametrize(
    ("table", "enum", "values"),
    [
        (enums.STATUS_TO_PROTO, JobStatus, pb.JobStatus.values()),
        (enums.LEVEL_TO_PROTO, LogLevel, pb.LogLevel.values()),
        (enums.RESULT_TYPE_TO_PROTO, ResultType, pb.ResultType.values()),
    ],
    ids=["status", "level", "result-type"],
)
def test_an_enum_of_the_proto_has_each_value_of_the_domain_and_no_other_but_unset(  # type: ignore[no-untyped-def]
    table, enum, values
) -> None:
    assert set(table) == set(enum)
    assert sorted(table.values()) == sorted(set(values) - {0})


def test_the_name_of_a_status_is_the_same_in_proto_and_domain() -> None:
    for status, number in enums.STATUS_TO_PROTO.items():
        assert pb.JobStatus.Name(number) == f"JOB_STATUS_{status.name}"


def test_a_job_is_told_field_by_field() -> None:
    assert json_format.MessageToDict(responses.job(JOB)) == {
        "execID": JOB.exec_id,
        "taskID": str(2**53 + 1),
        "status": "JOB_STATUS_FAILED",
        "paused": True,
        "submitUser": "root",
        "executeUser": "alice",
        "creator": "IDE",
        "engineType": "duckdb",
        "runType": "sql",
        "code": "SELECT 'é'",
        "labels": {"engineType": "duckdb"},
        "params": {
            "variable": {"v": "1"},
            "configuration": {"startup": {"s": "2"}, "runtime": {"r": "3"}, "special": {"p": "4"}},
        },
        "source": {"scriptPath": "x.sql"},
        "priority": -5,
        "progress": 1.0,
        "instance": "127.0.0.1:9104",
        "sessionID": "s-1",
        "createTime": "2024-02-29T12:00:00.250Z",
        "startTime": "2024-02-29T12:00:01.250Z",
        "endTime": "2024-02-29T12:00:02.250Z",
        "error": {"code": 20051, "message": "It fails."},
        "resultCount": 3,
        "attempt": 2,
        "removedTime": "2024-03-01T12:00:00.250Z",
    }


def test_no_field_of_a_job_is_forgotten() -> None:
    told = {field.name for field, _ in responses.job(JOB).ListFields()}
    assert told == set(pb.Job.DESCRIPTOR.fields_by_name)


def test_what_a_job_does_not_have_yet_is_unset() -> None:
    message = responses.job(WAITING)
    assert message.session_id == ""
    assert not message.HasField("start_time")
    assert not message.HasField("end_time")
    assert not message.HasField("error")


@pytest.mark.parametrize("status", JobStatus)
def test_the_progress_of_a_job_is_1_when_it_has_ended(status: JobStatus) -> None:
    message = responses.job(replace(JOB, status=status))
    assert message.progress == (1.0 if status.is_final else 0.25)


def test_a_job_in_a_list_has_all_but_code_and_parameters() -> None:
    page = responses.jobs(JobPage([JOB], "next"))
    whole = responses.job(JOB)
    whole.ClearField("code")
    whole.ClearField("params")
    assert page == pb.ListJobsResponse(jobs=[whole], next_page_token="next")


def test_progress_tells_the_parts_of_the_run() -> None:
    view = ProgressView(JOB, 0.5, [ProgressInfo("0", 1, 2, 3, 6), ProgressInfo("1", 0, 0, 0, 1)])
    parts = [
        pb.ProgressInfo(id="0", succeed_tasks=1, failed_tasks=2, running_tasks=3, total_tasks=6),
        pb.ProgressInfo(id="1", total_tasks=1),
    ]
    assert list(responses.progress(view).progress_info) == parts
    assert list(responses.progress_with_resource(view, MACHINE).progress_info) == parts
    assert list(responses.progress_change(view, MACHINE).progress_info) == parts


def test_resources_are_told_once_measured() -> None:
    view = ProgressView(JOB, 0.5)
    assert not responses.progress_with_resource(view, MACHINE).HasField("yarn_metrics")
    assert not responses.progress_change(view, MACHINE).HasField("yarn_metrics")
    measured = replace(view, resources=Resources(memory_bytes=0, cores=0.0, processes=0))
    assert responses.progress_with_resource(measured, MACHINE).HasField("yarn_metrics")
    assert responses.progress_change(measured, MACHINE).HasField("yarn_metrics")


def test_a_progress_change_tells_status_and_pause() -> None:
    message = responses.progress_change(ProgressView(JOB, 1.0), MACHINE)
    assert message.status == pb.JOB_STATUS_FAILED
    assert message.paused


def test_a_table_is_told_as_arrow_whatever_it_is_stored_as() -> None:
    table = ResultSet(
        index=1,
        type=ResultType.TABLE,
        media_type="application/vnd.apache.parquet",
        file_name="1.parquet",
        row_count=2**40,
        size_bytes=2**41,
        columns=(Column("a", "int", "the a"), Column("b", "decimal(5,2)")),
        statement=4,
    )
    assert responses.result_set(table) == pb.ResultSet(
        index=1,
        type=pb.RESULT_TYPE_TABLE,
        media_type="application/vnd.apache.arrow.stream",
        row_count=2**40,
        size_bytes=2**41,
        columns=[
            pb.Column(name="a", data_type="int", comment="the a"),
            pb.Column(name="b", data_type="decimal(5,2)"),
        ],
        statement=4,
    )


def test_another_kind_keeps_its_media_type() -> None:
    picture = ResultSet(0, ResultType.PICTURE, "image/png", "0.png")
    assert responses.result_set(picture).media_type == "image/png"


def test_a_cell_tells_null_from_empty_text() -> None:
    table = ResultSet(0, ResultType.TABLE, "", "")
    message = responses.result_page(ResultPage(table, [["", None, "é"]], b"", ""))
    [row] = message.rows
    assert [cell.HasField("text") for cell in row.cells] == [True, False, True]
    assert [cell.text for cell in row.cells] == ["", "", "é"]


def test_a_page_of_another_kind_has_bytes_and_no_row() -> None:
    text = ResultSet(0, ResultType.TEXT, "text/plain", "0.txt")
    message = responses.result_page(ResultPage(text, [], b"\x00\xff", "next"))
    assert message.content == b"\x00\xff"
    assert not message.rows
    assert message.next_page_token == "next"


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 35])
def test_result_data_is_cut_to_the_limit_and_loses_nothing(size: int) -> None:
    table = ResultSet(0, ResultType.TABLE, "", "")
    data = bytes(range(size))
    messages = list(responses.result_data(table, data, limit=10))
    assert b"".join(message.data for message in messages) == data
    assert all(len(message.data) <= 10 for message in messages)
    assert [message.HasField("result_set") for message in messages] == [
        n == 0 for n in range(len(messages))
    ]
