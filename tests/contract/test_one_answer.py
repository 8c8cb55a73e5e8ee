"""The same job gives the same answer by gRPC, by REST and by the command line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pyarrow as pa
import pytest

from entrance.client import JobHandle, JobParams, JobStatus
from entrance.v1 import entrance_pb2 as pb
from tests.support.answers import normal
from tests.support.jobs import ended, new_creator, said
from tests.support.service import Caller, Service

UNKNOWN = 2**62

SHELL = """\
echo first
echo
echo '2030-01-31 08:00:00 ERROR a line that says so'
echo '2030-01-31 08:00:00.123 WARN and one more'
printf 'umlaut \\303\\244, no newline'
"""
SQL = """\
CREATE TABLE places AS SELECT * FROM (VALUES
  (1, 'Ghent', 1.5, true, DATE '2030-01-31', NULL),
  (2, 'a "quoted", text', -0.25, false, DATE '1999-12-31', [1, 2])
) places(id, name, size, old, day, more);
SELECT * FROM places ORDER BY id;
SELECT count(*) AS "how many" FROM places;
"""
PYTHON = """\
from IPython.display import HTML
import sys
print("to stdout")
print("to stderr", file=sys.stderr)
display(HTML("<b>bold</b>"))
6 * 7
"""
EVERYTHING = {
    "variables": {"name": "world"},
    "params": JobParams(runtime={"colour": "blue"}),
    "labels": {"route": "north", "tenant": "t1"},
    "source": {"scriptPath": "/x/y.sh"},
    "priority": 7,
}


@dataclass(frozen=True)
class Case:
    """A job to ask about, which does not change while it is asked about."""

    engine: str
    code: str
    status: JobStatus
    options: Any


CASES = {
    "shell": Case("shell", SHELL, JobStatus.SUCCEED, {}),
    "duckdb": Case("duckdb", SQL, JobStatus.SUCCEED, {}),
    "python": Case("python", PYTHON, JobStatus.SUCCEED, {}),
    "failed": Case("shell", "echo before; exit 3", JobStatus.FAILED, {}),
    "everything given": Case("shell", "echo hello ${name}", JobStatus.SUCCEED, EVERYTHING),
    "paused": Case("shell", "echo started; sleep 1000", JobStatus.RUNNING, {}),
}


@pytest.fixture(scope="module", params=CASES)
def job(service: Service, request: pytest.FixtureRequest) -> Iterator[JobHandle]:
    case = CASES[request.param]
    options = {"creator": new_creator(), **case.options}
    job = service.alice.client.submit(case.code, engine=case.engine, **options)
    if case.status.is_final:
        ended(job, case.status)
        yield job
    else:
        said(job, "started")
        job.pause()
        yield job
        job.kill()


def test_status(alice: Caller, job: JobHandle) -> None:
    by_grpc = normal(alice.rpc.call("Status", pb.StatusRequest(id=job.exec_id)))
    by_rest = normal(alice.rest.get(f"{job.exec_id}/status").data)
    (by_command,) = normal(alice.command.json("status", job.exec_id))
    assert by_grpc == by_rest == by_command
    assert by_grpc == {"execID": job.exec_id, "taskID": job.task_id, "status": job.status()}


def test_progress(alice: Caller, job: JobHandle) -> None:
    by_grpc = normal(alice.rpc.call("Progress", pb.ProgressRequest(id=job.exec_id)))
    by_rest = normal(alice.rest.get(f"{job.exec_id}/progress").data)
    (by_command,) = normal(alice.command.json("progress", job.exec_id))
    assert by_grpc == by_rest
    assert {name: by_command[name] for name in ("progress", "progressInfo")} == {
        name: by_grpc[name] for name in ("progress", "progressInfo")
    }


def test_log_by_level(alice: Caller, job: JobHandle) -> None:
    by_grpc = normal(alice.rpc.call("Log", pb.LogRequest(id=job.exec_id, size=-1)))
    by_rest = normal(alice.rest.get(f"{job.exec_id}/log", size=-1).data)
    by_command = alice.command.json("log", job.exec_id)
    assert by_grpc == by_rest
    assert [line["line"] for line in by_command] == list(range(1, len(by_command) + 1))
    assert by_grpc["fromLine"] == len(by_command) + 1
    assert by_grpc["log"] == [
        *(_text(by_command, level) for level in ("ERROR", "WARN", "INFO")),
        "\n".join(line["text"] for line in by_command),
    ]


def test_log_as_one_text(alice: Caller, job: JobHandle) -> None:
    request = pb.LogRequest(id=job.exec_id, size=-1, distinct_level=False)
    (by_grpc,) = alice.rpc.call("Log", request).log
    by_rest = alice.rest.get(f"{job.exec_id}/log", size=-1, distinctLevel=False).data["log"]
    by_command = alice.command.ok("log", job.exec_id).text
    assert by_grpc == by_rest == by_command.removesuffix("\n")


def test_job(alice: Caller, job: JobHandle) -> None:
    by_grpc = normal(alice.rpc.call("GetJob", pb.GetJobRequest(id=job.exec_id)).job)
    by_rest = normal(alice.rest.get(f"{job.exec_id}/job").data["job"])
    (by_command,) = normal(alice.command.json("job", job.exec_id))
    assert by_grpc == by_rest == by_command


def test_list(alice: Caller, job: JobHandle) -> None:
    creator = job.get().creator
    by_grpc = normal(alice.rpc.call("ListJobs", pb.ListJobsRequest(creator=creator)))["jobs"]
    by_rest = normal(alice.rest.get("jobs", creator=creator).data)["jobs"]
    by_command = normal(alice.command.json("list", "--creator", creator))
    assert by_grpc == by_rest == by_command
    assert [one["taskID"] for one in by_grpc] == [job.task_id]


def test_results(alice: Caller, job: JobHandle) -> None:
    by_grpc = normal(alice.rpc.call("ListResults", pb.ListResultsRequest(id=job.exec_id)))
    by_rest = normal(alice.rest.get(f"{job.exec_id}/results").data)
    by_command = normal(alice.command.json("result", job.exec_id, "--list"))
    assert by_grpc == by_rest
    assert by_grpc["resultSets"] == by_command
    assert len(by_command) == job.get().result_count


def test_rows(alice: Caller, job: JobHandle) -> None:
    for info in _results(job, "table"):
        request = pb.ReadResultRequest(id=job.exec_id, index=info.index)
        by_grpc = [
            [cell.text if cell.HasField("text") else None for cell in row.cells]
            for row in alice.rpc.call("ReadResult", request).rows
        ]
        by_rest = alice.rest.get(f"{job.exec_id}/results/{info.index}").data["rows"]
        written = alice.command.ok("result", job.exec_id, str(info.index), "--format", "csv").text
        header, *by_command = csv.reader(io.StringIO(written, newline=""))
        assert by_grpc == by_rest
        assert header == [column.name for column in info.columns]
        assert by_command == [[cell or "" for cell in row] for row in by_grpc]


def test_tables(alice: Caller, job: JobHandle) -> None:
    for info in _results(job, "table"):
        request = pb.StreamResultRequest(id=job.exec_id, index=info.index)
        by_grpc = b"".join(piece.data for piece in alice.rpc.call("StreamResult", request))
        by_rest = alice.rest.bytes(f"{job.exec_id}/results/{info.index}/stream")
        by_command = alice.command.ok(
            "result", job.exec_id, str(info.index), "--format", "arrow"
        ).stdout
        assert _table(by_grpc) == _table(by_rest) == _table(by_command)
        assert _table(by_grpc).num_rows == info.row_count


def test_other_contents(alice: Caller, job: JobHandle) -> None:
    for info in _results(job, "text", "html", "picture"):
        request = pb.ReadResultRequest(id=job.exec_id, index=info.index)
        by_grpc = alice.rpc.call("ReadResult", request).content
        by_rest = alice.rest.bytes(f"{job.exec_id}/results/{info.index}/stream")
        by_command = alice.command.ok("result", job.exec_id, str(info.index), "-o", "-").stdout
        assert by_grpc == by_rest == by_command
        assert len(by_grpc) == info.size_bytes


def test_kill_of_a_job_that_has_ended(alice: Caller) -> None:
    job = alice.client.submit("exit 0", engine="shell")
    ended(job, JobStatus.SUCCEED)
    by_grpc = alice.rpc.refusal("Kill", pb.KillRequest(id=job.exec_id))
    by_rest = alice.rest.get(f"{job.exec_id}/kill")
    by_command = alice.command.run("kill", job.exec_id, "--json")
    assert by_grpc.code is grpc.StatusCode.FAILED_PRECONDITION
    assert (by_rest.http, by_rest.status) == (400, 1)
    assert by_command.code == 1
    (outcome,) = by_command.objects
    assert by_grpc.message == by_rest.message == outcome["error"]["message"]
    assert by_grpc.reason == by_rest.data["reason"] == outcome["error"]["reason"]


def test_unknown_id(alice: Caller) -> None:
    by_grpc = alice.rpc.refusal("Status", pb.StatusRequest(id=str(UNKNOWN)))
    by_rest = alice.rest.get(f"{UNKNOWN}/status")
    by_command = alice.command.run("status", str(UNKNOWN), "--json")
    assert by_grpc.code is grpc.StatusCode.NOT_FOUND
    assert (by_rest.http, by_rest.status) == (400, 1)
    assert by_command.code == 1
    assert by_grpc.message == by_rest.message == by_command.error["message"]
    assert by_grpc.reason == by_rest.data["reason"] == by_command.error["reason"]


def test_engines(alice: Caller) -> None:
    by_grpc = normal(alice.rpc.call("ListEngines", pb.ListEnginesRequest()))["engines"]
    by_rest = normal(alice.rest.get("engines").data)["engines"]
    by_command = normal(alice.command.json("engines"))
    assert by_grpc == by_rest == by_command
    assert [engine["engineType"] for engine in by_grpc] == [
        *("adbc", "duckdb", "python", "shell", "spark", "trino")
    ]


def _results(job: JobHandle, *types: str) -> list[Any]:
    return [info for info in job.results() if info.type in types]


def _text(lines: list[dict[str, Any]], level: str) -> str:
    """The lines of a level, joined as the contract has it: blank ones are in ALL alone."""
    chosen = [line["text"] for line in lines if line["level"] == level and line["text"].strip()]
    return "\n".join(chosen)


def _table(stream: bytes) -> pa.Table:
    with pa.ipc.open_stream(stream) as reader:
        return reader.read_all()
