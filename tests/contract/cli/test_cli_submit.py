"""`entrance submit` and following: what is sent, what is printed, and the exit code."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from entrance.v1 import entrance_pb2 as pb
from tests.contract.cli.terminal import TerminalCommand
from tests.contract.client.fake_service import FakeService


def test_a_submit_prints_the_exec_id_alone_to_stdout(entrance: TerminalCommand) -> None:
    done = entrance.run("submit", "-e", "info hello", "--engine", "duckdb")

    assert done.code == 0
    assert done.text == "exec_id008004entrancehostIDE_alice_1\n"
    assert done.stderr == "job 1 is accepted; entrance log -f 1 follows it\n"


@pytest.mark.parametrize(
    ("name", "engine"), [("a.sql", "duckdb"), ("b.PY", "python"), ("c.sh", "shell")]
)
def test_a_files_ending_names_the_engine(
    entrance: TerminalCommand, service: FakeService, tmp_path: Path, name: str, engine: str
) -> None:
    (tmp_path / name).write_text("info Łódź")

    done = entrance.run("submit", name)

    request: pb.SubmitRequest = service.requests["Submit"]
    assert done.code == 0, done.stderr
    assert request.labels["engineType"] == engine
    assert request.execution_content.code == "info Łódź"
    assert request.source == {"scriptPath": name}


def test_a_submit_carries_all_its_options(entrance: TerminalCommand, service: FakeService) -> None:
    options = "--engine python --run-type py --creator etl --var a=1 --var b=x=y --param p=2"
    more = "--startup s=3 --label route=r --priority 7 --request-id once --user bob"

    done = entrance.run("submit", "-", *options.split(), *more.split(), input=b"info from stdin")

    request: pb.SubmitRequest = service.requests["Submit"]
    assert done.code == 0, done.stderr
    assert request.execution_content.code == "info from stdin"
    assert request.execution_content.run_type == "py"
    assert request.params.variable == {"a": "1", "b": "x=y"}
    assert request.params.configuration.runtime == {"p": "2"}
    assert request.params.configuration.startup == {"s": "3"}
    assert request.labels == {"engineType": "python", "creator": "etl", "route": "r"}
    assert (request.priority, request.request_id, request.execute_user) == (7, "once", "bob")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-e", "info"], "name the engine by --engine; `entrance engines` lists those there are"),
        (["-e", "info", "a.sql"], "there is both FILE and -e CODE; leave one out"),
        ([], "there is no code; name a FILE, - for stdin, or give -e CODE"),
        (["latin.sql"], "latin.sql is not UTF-8 at byte 5; save it as UTF-8 and submit it again"),
        (["-e", "info", "--engine", "x", "--var", "a"], "--var takes NAME=VALUE, and 'a' is none"),
    ],
)
def test_wrong_usage_is_one_line_that_says_what_to_change(
    entrance: TerminalCommand, tmp_path: Path, arguments: list[str], told: str
) -> None:
    (tmp_path / "latin.sql").write_bytes(b"info \xe9")

    done = entrance.run("submit", *arguments)

    assert (done.code, done.text, done.stderr) == (2, "", f"error: {told}\n")


def test_code_that_is_not_utf_8_is_wrong_usage(entrance: TerminalCommand) -> None:
    done = entrance.run("submit", "--engine", "shell", "-e", "echo \udcff")

    told = "error: 'echo ?' is not UTF-8 at character 6; send text in UTF-8\n"
    assert (done.code, done.stderr) == (2, told)


def test_a_file_that_is_not_there_is_told_by_its_name(entrance: TerminalCommand) -> None:
    done = entrance.run("submit", "gone.sql")

    assert (done.code, done.stderr) == (1, "error: gone.sql: No such file or directory\n")


@pytest.mark.parametrize(
    ("ending", "code", "told"),
    [
        ("", 0, "ended as Succeed after"),
        ("fail no such table", 1, "no such table (21304)"),
        ("cancel", 3, "ended as Cancelled"),
        ("timeout", 4, "ended as Timeout"),
    ],
)
def test_a_followed_job_prints_its_log_and_exits_by_its_end(
    entrance: TerminalCommand, ending: str, code: int, told: str
) -> None:
    done = entrance.run(
        "submit", "-f", "-e", f"info one\nerror two \x1b[31mred\n{ending}", "--engine", "shell"
    )

    assert done.text == "one\ntwo \x1b[31mred\n"
    assert done.code == code
    assert told in done.stderr
    assert "\x1b" not in done.stderr


def test_a_followed_job_as_objects_is_one_for_each_line_and_one_for_its_end(
    entrance: TerminalCommand,
) -> None:
    done = entrance.run("submit", "-f", "-e", "warn one\nfail bad", "--engine", "shell", "--json")

    ids = {"execID": "exec_id008004entrancehostIDE_alice_1", "taskID": 1}
    assert done.objects == [
        ids,
        {"line": 1, "level": "WARN", "text": "one"},
        {
            **ids,
            "status": "Failed",
            "error": {"code": 21304, "message": "bad"},
            "resultCount": 0,
        },
    ]
    assert (done.code, done.stderr) == (1, "")


def test_a_line_is_printed_as_soon_as_it_is_written(
    entrance: TerminalCommand, service: FakeService
) -> None:
    with entrance.start("submit", "-f", "-e", "info one\nhang", "--engine", "shell") as following:
        assert following.stdout is not None
        assert following.stdout.readline() == b"one\n"
        service.append(1, "two")
        assert following.stdout.readline() == b"two\n"
        service.end(1, pb.JOB_STATUS_SUCCEED)
        assert following.stdout.read() == b""
        assert following.wait() == 0


def test_an_interrupt_leaves_the_job_and_says_how_to_come_back(
    entrance: TerminalCommand, service: FakeService
) -> None:
    with entrance.start("submit", "-f", "-e", "info one\nhang", "--engine", "shell") as following:
        assert following.stdout is not None
        assert following.stderr is not None
        following.stdout.readline()
        following.send_signal(signal.SIGINT)
        told = following.stderr.read().decode()
        assert following.wait() == 130

    assert told.splitlines()[-1] == (
        "detached; the job goes on. entrance log -f 1 to come back, entrance kill 1 to end it"
    )
    assert service.jobs[1].record.status == pb.JOB_STATUS_RUNNING


def test_a_reader_that_goes_away_ends_following_quietly(
    entrance: TerminalCommand, service: FakeService
) -> None:
    code = "\n".join(f"info {n}" for n in range(5_000))
    with entrance.start("submit", "-f", "-e", code, "--engine", "shell") as following:
        assert following.stdout is not None
        assert following.stderr is not None
        following.stdout.readline()
        following.stdout.close()
        told = following.stderr.read().decode()
        assert following.wait() == 141

    assert told.splitlines() == ["job 1 is accepted: exec_id008004entrancehostIDE_alice_1"]
