"""The command line against a service that really runs jobs."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from entrance.client import JobHandle, JobStatus
from tests.contract.cli.terminal import TerminalCommand
from tests.support.command import Command, Finished
from tests.support.footprint import Footprint
from tests.support.jobs import ended, new_creator, said, texts
from tests.support.service import Caller, Service
from tests.support.waiting import PATIENCE, until

TABLE = """\
SELECT * FROM (VALUES
  (1, 'plain', 1.50, DATE '2030-01-31', [1, 2], true),
  (2, 'a "quoted", text
on two lines', -0.25, NULL, NULL, false),
  (3, '', NULL, DATE '1999-12-31', [], NULL)
) places(id, name, size, day, list, open) ORDER BY id
"""


@pytest.fixture(scope="module")
def table(service: Service) -> JobHandle:
    job = service.alice.client.submit(TABLE, engine="duckdb")
    ended(job, JobStatus.SUCCEED)
    return job


class TestSubmit:
    @pytest.mark.parametrize(
        ("code", "exit_code", "status"),
        [("echo out", 0, "Succeed"), ("echo out; exit 4", 1, "Failed")],
    )
    def test_the_exit_code_of_a_followed_job_tells_its_end(
        self, alice: Caller, code: str, exit_code: int, status: str
    ) -> None:
        done = alice.command.run("submit", "-e", code, "--engine", "shell", "--follow")
        assert done.code == exit_code
        assert "out" in done.lines
        assert status in done.stderr

    def test_a_followed_job_that_is_killed_exits_with_3(self, alice: Caller) -> None:
        creator = new_creator()
        follower = alice.command.start(
            *("submit", "-e", "echo started; sleep 1000", "--engine", "shell"),
            *("--creator", creator, "--follow"),
        )
        job = until(lambda: _newest(alice, creator), "the job is there")
        said(job, "started")
        alice.command.ok("kill", job.exec_id)
        output, _ = follower.communicate(timeout=PATIENCE)
        assert follower.returncode == 3
        assert output.decode().split("\n")[:-1] == texts(job)

    def test_lines_are_piped_as_they_come(self, service: Service, alice: Caller) -> None:
        go = service.directory / "go"
        code = f"echo first; until [ -e {go} ]; do sleep 0.02; done; echo second"
        follower = alice.command.start("submit", "-e", code, "--engine", "shell", "--follow")
        assert follower.stdout is not None
        lines = iter(follower.stdout.readline, b"")
        assert b"first\n" in lines  # reads no further
        go.touch()
        assert b"second\n" in lines
        follower.communicate(timeout=PATIENCE)
        assert follower.returncode == 0

    def test_a_script_comes_from_a_file_or_a_pipe(self, service: Service, alice: Caller) -> None:
        script = service.directory / "answer.sql"
        script.write_text("SELECT ${n} * 2 AS answer")
        from_file = alice.command.ok("submit", script, "--var", "n=21", "--follow", "--json")
        code = b"echo ${greeting} world"
        piped = alice.command.ok(
            "submit", "-", "--engine", "shell", "--var", "greeting=hello", "-f", input=code
        )
        answer = alice.client.job(from_file.objects[0]["execID"])
        assert list(answer.result().rows()) == [("42",)]
        assert answer.get().source["scriptPath"].endswith("answer.sql")
        assert "hello world" in piped.lines

    def test_as_objects_it_writes_the_ids_the_lines_and_the_end(self, alice: Caller) -> None:
        written = alice.command.json("submit", "-e", "echo hi", "--engine", "shell", "--follow")
        ids, *lines, end = written
        job = alice.client.job(ids["execID"])
        assert ids["taskID"] == job.task_id
        assert [line["text"] for line in lines] == texts(job)
        assert end["status"] == "Succeed"

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["-e", "x", "--engine", "fortran"], "duckdb, python, shell"),
            (["-e", "x", "--engine", "shell", "--run-type", "sql"], "shell, sh"),
            (["-e", "  ", "--engine", "shell"], "blank"),
        ],
    )
    def test_what_the_service_refuses_is_wrong_usage(
        self, alice: Caller, arguments: list[str], words: str
    ) -> None:
        done = alice.command.run("submit", *arguments)
        assert (done.code, done.text) == (2, "")
        assert done.stderr.startswith("error: ")
        assert words in done.stderr

    def test_a_file_that_is_not_utf_8_is_not_sent(self, service: Service, alice: Caller) -> None:
        script = service.directory / "latin.sh"
        script.write_bytes(b"echo \xe4")
        done = alice.command.run("submit", script)
        assert done.code == 2
        assert "UTF-8" in done.stderr

    def test_without_a_token_it_is_refused(self, service: Service) -> None:
        done = service.nobody.command.run("list")
        assert done.code == 5
        assert "ENTRANCE_TOKEN" in done.stderr


class TestControl:
    def test_pause_resume_and_kill(self, alice: Caller) -> None:
        job = alice.client.submit("echo started; sleep 1000", engine="shell", creator=new_creator())
        said(job, "started")
        alice.command.ok("pause", job.exec_id)
        assert job.get().paused
        alice.command.ok("resume", str(job.task_id))
        assert not job.get().paused
        assert alice.command.ok("kill", job.exec_id).text == f"killed {job.exec_id}\n"
        assert alice.command.ok("status", job.exec_id).text == "Cancelled\n"
        assert alice.command.run("kill", job.exec_id).code == 1

    def test_a_log_is_followed_to_its_end_and_split_by_level(self, alice: Caller) -> None:
        code = "echo one; echo '2030-01-31 08:00:00 ERROR two'; sleep 0.2; echo three"
        job = alice.client.submit(code, engine="shell", creator=new_creator())
        assert alice.command.ok("log", "-f", job.exec_id).lines == texts(job)
        errors = alice.command.ok("log", job.exec_id, "--level", "error")
        assert errors.text == "2030-01-31 08:00:00 ERROR two\n"

    def test_ctrl_c_detaches_and_says_how_to_come_back(
        self, service: Service, alice: Caller
    ) -> None:
        creator = new_creator()
        command = TerminalCommand(alice.command.environment, service.directory)
        with command.on_terminal(
            *("submit", "-e", "echo started; sleep 1000", "--engine", "shell"),
            *("--creator", creator, "--follow"),
            columns=200,
        ) as terminal:
            terminal.wait_for("started")
            terminal.press(b"\x03")
            assert terminal.wait() == 130
        job = _newest(alice, creator)
        assert job is not None
        assert f"entrance log -f {job.task_id}" in terminal.shown
        assert f"entrance kill {job.task_id}" in terminal.shown
        assert job.status() is JobStatus.RUNNING
        alice.command.ok("kill", str(job.task_id))
        assert job.status() is JobStatus.CANCELLED

    def test_a_live_view_shows_lines_bar_and_end(self, service: Service, alice: Caller) -> None:
        command = TerminalCommand(alice.command.environment, service.directory)
        code = "SELECT 1; SELECT sum(a.range * b.range) FROM range(10000) a, range(10000) b"
        with command.on_terminal("submit", "-e", code, "--engine", "duckdb", "-f") as terminal:
            terminal.wait_for("statement 1 of 2")
            assert terminal.wait() == 0
        assert "Succeed" in terminal.shown


class TestResult:
    def test_as_csv(self, alice: Caller, table: JobHandle) -> None:
        written = _result(alice, table, "csv").text
        header, *rows = csv.reader(io.StringIO(written, newline=""))
        assert header == ["id", "name", "size", "day", "list", "open"]
        assert rows == [[cell or "" for cell in row] for row in table.result().rows()]

    def test_as_json(self, alice: Caller, table: JobHandle) -> None:
        rows = [json.loads(line) for line in _result(alice, table, "json").lines]
        assert rows == [_plain(row) for row in table.result().to_arrow().to_pylist()]

    def test_as_arrow_through_a_pipe(self, alice: Caller, table: JobHandle) -> None:
        stream = _result(alice, table, "arrow").stdout
        with pa.ipc.open_stream(stream) as reader:
            assert reader.read_all() == table.result().to_arrow()

    @pytest.mark.parametrize("ending", ["parquet", "arrow", "csv", "json"])
    def test_into_a_file_whose_ending_names_the_format(
        self, service: Service, alice: Caller, table: JobHandle, ending: str
    ) -> None:
        file = service.directory / f"places.{ending}"
        done = alice.command.ok("result", table.exec_id, "-o", file)
        assert done.text == f"{file}\n"
        if ending == "parquet":
            assert pq.read_table(file) == table.result().to_arrow()
        else:
            assert file.read_bytes() == _result(alice, table, ending).stdout

    def test_as_a_table_for_people(self, alice: Caller, table: JobHandle) -> None:
        shown = alice.command.ok("result", table.exec_id).text
        assert "places" not in shown
        assert all(word in shown for word in ("id", "name", "plain", "2030-01-31"))

    def test_of_other_kinds(self, service: Service, alice: Caller) -> None:
        code = "from IPython.display import HTML\ndisplay(HTML('<b>x</b>'))\n'text'"
        job = alice.client.submit(code, engine="python")
        ended(job, JobStatus.SUCCEED)
        page = service.directory / "page.html"
        alice.command.ok("result", job.exec_id, "0", "-o", page)
        assert page.read_text() == "<b>x</b>"
        assert alice.command.ok("result", job.exec_id, "1").text == "'text'\n"
        assert alice.command.run("result", job.exec_id, "2").code == 1


@dataclass(frozen=True)
class Serve:
    """What `entrance serve` runs with: a root of its own, and commands that know its data alone."""

    footprint: Footprint
    command: Command

    def start(self) -> subprocess.Popen[bytes]:
        """Starts it on free ports; it serves when this returns."""
        process = self.command.start("serve", "--grpc-port", "0", "--http-port", "0", "--json")
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["grpc"]["port"]
        return process


@pytest.fixture
def serve() -> Iterator[Serve]:
    root = Path(tempfile.mkdtemp(prefix="entrance-test-"))
    footprint = Footprint(root)
    environment = {**footprint.environment, "ENTRANCE_DATA_DIR": str(root / "data")}
    yield Serve(footprint, Command(environment, root))
    footprint.end_by_force()
    shutil.rmtree(root)


class TestServe:
    def test_a_command_that_knows_the_data_directory_finds_service_and_token(
        self, serve: Serve
    ) -> None:
        with serve.start() as process:
            done = serve.command.ok("submit", "-e", "echo hi", "--engine", "shell", "--follow")
            assert "hi" in done.lines
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        serve.footprint.assert_clean()

    def test_a_job_goes_on_while_the_service_is_stopped_and_started(self, serve: Serve) -> None:
        code = "for i in $(seq 150); do echo $i; sleep 0.02; done"
        with serve.start() as process:
            ids = serve.command.ok("submit", "-e", code, "--engine", "shell")
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        with serve.start() as process:
            followed = serve.command.ok("log", "-f", ids.text.strip())
            assert [line for line in followed.lines if line.isdigit()] == [
                str(i) for i in range(1, 151)
            ]
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        serve.footprint.assert_clean()


def _newest(caller: Caller, creator: str) -> JobHandle | None:
    jobs = caller.client.list_jobs(creator=creator)
    return next((caller.client.job(job.exec_id) for job in jobs), None)


def _result(caller: Caller, job: JobHandle, format: str) -> Finished:
    return caller.command.ok("result", job.exec_id, "--format", format)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row with values that JSON has."""
    return {
        name: float(value)
        if name == "size" and value is not None
        else value.isoformat()
        if name == "day" and value is not None
        else value
        for name, value in row.items()
    }
