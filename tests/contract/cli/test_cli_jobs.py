"""Commands about jobs that are there: status, log, progress, kill, pause, resume, list, job."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from google.rpc import code_pb2

from entrance.v1 import entrance_pb2 as pb
from tests.contract.cli.terminal import TerminalCommand
from tests.contract.client.fake_service import FakeService, error


@pytest.fixture
def jobs(entrance: TerminalCommand, service: FakeService) -> FakeService:
    """A service with an ended job 1 and a running job 2."""
    service.create("warn one\ninfo \nerror three\ntext hi")
    service.create("info begun\nhang")
    return service


@pytest.mark.usefixtures("jobs")
def test_the_status_of_one_job_stands_alone_and_of_several_by_their_ids(
    entrance: TerminalCommand,
) -> None:
    assert entrance.run("status", "1").text == "Succeed\n"
    assert entrance.run("status", "1", "2").text == "1\tSucceed\n2\tRunning\n"


@pytest.mark.usefixtures("jobs")
def test_a_log_is_what_there_is_now(entrance: TerminalCommand) -> None:
    assert entrance.run("log", "1").text == "one\n\nthree\n"
    assert entrance.run("log", "2").text == "begun\n"


@pytest.mark.usefixtures("jobs")
def test_a_log_keeps_to_levels_and_starts_at_a_line(entrance: TerminalCommand) -> None:
    done = entrance.run(
        "--json", "log", "1", "--level", "error", "--level", "WARN", "--from-line", "2"
    )

    assert json.loads(done.text) == {"line": 3, "level": "ERROR", "text": "three"}


@pytest.mark.usefixtures("jobs")
def test_a_followed_log_of_an_ended_job_exits_by_its_end(entrance: TerminalCommand) -> None:
    done = entrance.run("log", "-f", "1")

    assert (done.code, done.text) == (0, "one\n\nthree\n")
    assert "1 result: entrance result 1" in done.stderr


def test_a_long_log_is_printed_over_all_its_pages(
    entrance: TerminalCommand, service: FakeService
) -> None:
    service.create("\n".join(f"info {n}" for n in range(12_000)))

    assert entrance.run("log", "1").lines == [str(n) for n in range(12_000)]


@pytest.mark.usefixtures("jobs")
def test_progress_is_a_line_or_an_object(entrance: TerminalCommand) -> None:
    assert entrance.run("progress", "2").text == "0%\tRunning\t0/2\t1 MiB\n"

    told = json.loads(entrance.run("progress", "1", "--json").text)
    assert (told["progress"], told["status"], told["paused"]) == (1.0, "Succeed", False)
    assert told["progressInfo"][0]["totalTasks"] == 2
    assert told["resources"]["memoryBytes"] == 2**20


def test_followed_progress_is_a_line_for_each_change_and_exits_by_the_end(
    entrance: TerminalCommand, service: FakeService
) -> None:
    service.create("hang")
    with entrance.start("progress", "-f", "1") as following:
        assert following.stdout is not None
        assert following.stdout.readline().startswith(b"0%\tRunning")
        service.end(1, pb.JOB_STATUS_CANCELLED)
        assert following.stdout.read().startswith(b"100%\tCancelled")
        assert following.wait() == 3


def test_kill_ends_what_it_can_and_tells_of_the_rest(
    entrance: TerminalCommand, jobs: FakeService
) -> None:
    done = entrance.run("kill", "1", "2", "99")

    assert (done.code, done.text) == (1, "killed 2\n")
    assert done.stderr.splitlines() == [
        "error: 1: Job 1 has ended already.",
        "error: 99: There is no job '99'.",
    ]
    assert jobs.jobs[2].record.status == pb.JOB_STATUS_CANCELLED


@pytest.mark.usefixtures("jobs")
def test_kill_as_objects_has_an_error_or_none_for_each(entrance: TerminalCommand) -> None:
    done = entrance.run("kill", "1", "2", "--json")

    told = done.objects
    assert [one["error"] and one["error"]["type"] for one in told] == ["WrongState", None]
    assert done.stderr == ""


def test_pause_and_resume_tell_and_do_so(entrance: TerminalCommand, jobs: FakeService) -> None:
    assert entrance.run("pause", "2").text == "paused 2\n"
    assert jobs.jobs[2].record.paused
    assert json.loads(entrance.run("resume", "2", "--json").text)["paused"] is False
    assert not jobs.jobs[2].record.paused


@pytest.mark.usefixtures("jobs")
def test_a_list_has_a_header_and_tabs(entrance: TerminalCommand) -> None:
    header, *rows = (line.split("\t") for line in entrance.run("list").lines)

    assert header[:6] == ["TASK ID", "STATUS", "DONE", "ENGINE", "USER", "CREATOR"]
    assert [row[:6] for row in rows] == [
        ["2", "Running", "0%", "shell", "alice", "IDE"],
        ["1", "Succeed", "100%", "shell", "alice", "IDE"],
    ]


def test_a_list_holds_to_its_filters_and_limit(
    entrance: TerminalCommand, jobs: FakeService
) -> None:
    options = ["--status", "running", "--status", "Failed", "--limit", "7", "--user", "alice"]
    done = entrance.run("list", "--json", *options, "--engine", "shell", "--creator", "IDE")

    request: pb.ListJobsRequest = jobs.requests["ListJobs"]
    assert json.loads(done.text)["taskID"] == 2
    assert list(request.statuses) == [pb.JOB_STATUS_RUNNING, pb.JOB_STATUS_FAILED]
    assert (request.execute_user, request.engine_type, request.creator) == ("alice", "shell", "IDE")
    assert request.page_size == 7


@pytest.mark.usefixtures("jobs")
def test_a_job_is_told_with_its_code(entrance: TerminalCommand) -> None:
    done = entrance.run("job", "2")

    assert "engineType:  shell\n" in done.text
    assert done.text.endswith("code:\ninfo begun\nhang\n")


def test_engines_have_their_run_types(entrance: TerminalCommand) -> None:
    assert "python\tpython, py\t" in entrance.run("engines").text


def test_an_error_tells_the_wrong_fields(entrance: TerminalCommand, service: FakeService) -> None:
    service.create("hang")
    service.break_next(
        "Status",
        error=error(
            code_pb2.INVALID_ARGUMENT,
            "The id is malformed.",
            reason="MALFORMED_ID",
            violations=[("id", "must be a number")],
        ),
    )

    done = entrance.run("status", "1")

    assert done.code == 2
    assert done.stderr == "error: The id is malformed. (id: must be a number)\n"


def test_an_error_as_an_object_has_reason_and_number(entrance: TerminalCommand) -> None:
    done = entrance.run("submit", "-e", " ", "--engine", "duckdb", "--json")

    told = done.error
    assert (told["reason"], told["errCode"], done.code) == ("CODE_BLANK", 20007, 2)
    assert told["violations"] == [
        {"field": "executionContent.code", "description": "must not be blank"}
    ]


def test_an_unknown_job_is_told_in_a_line(entrance: TerminalCommand) -> None:
    done = entrance.run("status", "99")

    assert (done.code, done.stderr) == (1, "error: There is no job '99'.\n")


@pytest.mark.parametrize(
    "arguments",
    [
        "list --limit 99999999999999999999",
        "log 1 --from-line -99999999999999999999",
        "result 1 99999999999",
        "result 1 --limit 99999999999999999999",
        "submit -e info --engine x --priority 99999999999",
    ],
)
def test_a_number_out_of_range_is_wrong_usage(entrance: TerminalCommand, arguments: str) -> None:
    done = entrance.run(*arguments.split())

    assert done.code == 2
    assert "is out of range" in done.stderr


def test_a_service_that_is_away_is_told_with_what_to_do(entrance: TerminalCommand) -> None:
    done = entrance.run("list", "--target", "127.0.0.1:1")

    assert done.code == 5
    assert done.stderr.startswith("error: no answer from 127.0.0.1:1: ")
    assert ". Is it running? `entrance serve` starts it" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_token_is_told_with_where_to_put_one(entrance: TerminalCommand) -> None:
    done = entrance.with_environment(ENTRANCE_TOKEN="").run("list")

    assert done.code == 5
    assert "No token was found: set ENTRANCE_TOKEN or --token-file" in done.stderr


def test_a_token_can_come_from_a_file(entrance: TerminalCommand, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "empty").write_text("")

    assert (
        entrance.with_environment(ENTRANCE_TOKEN="wrong").run("list", "--token-file", "token").code
        == 0
    )
    done = entrance.run("list", "--token-file", "empty")
    assert (done.code, done.stderr) == (
        2,
        "error: there is no token in empty; name another --token-file\n",
    )


def test_it_tells_its_version(entrance: TerminalCommand) -> None:
    done = entrance.run("--version")
    assert (done.code, done.text) == (0, f"entrance {version('entrance')}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["submit", "--help"], ["serve", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    report = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "entrance.cli", *arguments],
        capture_output=True,
        text=True,
        check=True,
    ).stderr

    imported = {line.rpartition("|")[2].strip() for line in report.splitlines()}
    assert "typer" in imported
    assert not imported & {"grpc", "google.protobuf", "pyarrow", "entrance.client", "asyncio"}
