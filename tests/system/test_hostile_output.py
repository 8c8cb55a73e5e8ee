"""Jobs that print or end as nobody expects harm neither the service nor other jobs.

ENTRANCE_PRINTED_MIB says how much the one prints that prints most.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator

import psutil
import pytest

from entrance.client import JobHandle, JobStatus
from entrance.v1 import entrance_pb2 as pb
from tests.support.footprint import gone
from tests.support.jobs import ended, new_creator, printed, said, texts
from tests.support.service import Caller, Service
from tests.support.waiting import PATIENCE, until

MEBIBYTE = 1024 * 1024
LONGEST_LINE = 64 * 1024  # bytes, as the proto states
MEMORY = 400 * MEBIBYTE  # of one process of ours, far from what the job below prints
PRINTED = int(os.environ.get("ENTRANCE_PRINTED_MIB", "1000")) * MEBIBYTE
CONTROLS = [
    "\x1b[31mred\x1b[0m and \x1b]0;a title\x07",
    "over\rwritten",
    "bell \x07, tab \t, backspace \x08, form feed \x0c, vertical tab \x0b, unit \x1f",
    "a NUL \x00 within",
    "next line \x85, line \u2028 and paragraph \u2029 separators",
    "right to left \u202e, zero width \u200b, \ufeff",
    "\U0001f600 and \u00e4",
]
CRASHES = {
    "shell": "echo started; sleep 0.05; kill -SEGV $$",
    "python": "print('started')\nimport os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
    "duckdb": "SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b",
}


@pytest.fixture
def bystander(service: Service) -> Iterator[JobHandle]:
    """A job of somebody else, which must not notice."""
    job = service.bob.client.submit(
        "echo started; while :; do sleep 0.05; done", engine="shell", creator=new_creator()
    )
    said(job, "started")
    yield job
    assert job.status() is JobStatus.RUNNING
    assert texts(job)[-1] == "started"
    job.kill()


def test_a_line_of_1_mib_is_broken_into_lines_that_join_to_it(
    alice: Caller, bystander: JobHandle
) -> None:
    code = f"head -c {MEBIBYTE} /dev/zero | tr '\\0' x; echo; echo next"
    job = alice.client.submit(code, engine="shell")
    ended(job, JobStatus.SUCCEED)
    *pieces, last = printed(job)
    assert last == "next"
    assert "".join(pieces) == "x" * MEBIBYTE
    assert max(len(piece) for piece in pieces) == LONGEST_LINE - 1
    assert alice.command.ok("log", job.exec_id).lines == texts(job)


def test_control_characters_arrive_as_they_were_printed(service: Service, alice: Caller) -> None:
    file = service.directory / "controls"
    file.write_bytes("\n".join(CONTROLS).encode() + b"\n")
    job = alice.client.submit(f"cat {file}", engine="shell")
    ended(job, JobStatus.SUCCEED)
    assert printed(job) == CONTROLS
    assert [line.text for line in job.follow_log()] == texts(job)
    by_rest = alice.rest.get(f"{job.exec_id}/log", size=-1).data["log"][3]
    assert by_rest.split("\n") == texts(job)
    events = list(alice.rest.events(f"{job.exec_id}/log/stream"))
    assert [line for event in events[:-1] for line in event.data["lines"]] == texts(job)
    assert alice.command.ok("log", job.exec_id).lines == texts(job)


def test_bytes_that_are_not_utf_8_become_replacement_characters(alice: Caller) -> None:
    job = alice.client.submit(r"printf 'a\377b\n\303\n\355\240\200\n'", engine="shell")
    ended(job, JobStatus.SUCCEED)
    assert printed(job) == ["a\ufffdb", "\ufffd", "\ufffd\ufffd\ufffd"]


@pytest.mark.parametrize(
    ("engine", "code"), [("shell", ":"), ("python", "pass"), ("duckdb", "CREATE TABLE t(a int)")]
)
def test_a_job_that_prints_nothing(alice: Caller, engine: str, code: str) -> None:
    job = alice.client.submit(code, engine=engine, creator="Silent")
    ended(job, JobStatus.SUCCEED)
    assert printed(job) == []
    assert job.get().progress == 1.0


def test_output_of_any_size_takes_bounded_memory_however_slow_a_reader_is(
    service: Service, alice: Caller, bystander: JobHandle
) -> None:
    line = "x" * 99
    count = PRINTED // (len(line) + 1)
    job = alice.client.submit(f"yes {line} | head -n {count}", engine="shell")
    slow = alice.rpc.call("StreamLog", pb.StreamLogRequest(id=job.exec_id))
    next(slow)  # and no more
    peaks: Counter[str] = Counter()
    while not job.status().is_final:
        for name, memory in _memory(service):
            peaks[name] = max(peaks[name], memory)
        time.sleep(0.05)
    slow.cancel()
    ended(job, JobStatus.SUCCEED)
    assert {name for name, peak in peaks.items() if peak > MEMORY} == set()
    assert {"entrance_server", "entrance_gateway", "entrance_runner"} <= set(peaks)
    own = [one for one in texts_from(job, count + 1) if one != line]
    assert own[-1].endswith("Your job has ended: Succeed.")


def test_processes_that_a_job_leaves_behind_are_ended(
    service: Service, alice: Caller, bystander: JobHandle
) -> None:
    code = "sleep 1000 & echo pid $!; (setsid sleep 1000 & echo pid $!); echo done"
    job = alice.client.submit(code, engine="shell")
    ended(job, JobStatus.SUCCEED)
    left = [int(text.removeprefix("pid ")) for text in texts(job) if text.startswith("pid ")]
    assert len(left) == 2
    assert gone(left)
    assert service.job_processes(job) == []


def test_a_script_may_close_its_own_output(alice: Caller) -> None:
    code = "echo before; exec 1>&- 2>&-; sleep 0.1; echo lost; exit 0"
    job = alice.client.submit(code, engine="shell")
    ended(job, JobStatus.SUCCEED)
    assert printed(job) == ["before"]


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.close(1); os.close(2)",
        "import os; os.dup2(os.open('file', os.O_CREAT | os.O_RDONLY), 1)",
        "import sys; sys.stdout.close(); sys.stderr.close()",
        "import sys; sys.stdout = sys.stderr = None",
    ],
)
def test_python_code_may_close_its_own_output_which_the_next_job_has_again(
    alice: Caller, code: str
) -> None:
    creator = new_creator()
    job = alice.client.submit(f"print('before'); {code}", engine="python", creator=creator)
    ended(job, JobStatus.SUCCEED)
    assert printed(job) == ["before"]
    failing = alice.client.submit(f"{code}\n1 / 0", engine="python", creator=creator)
    ended(failing, JobStatus.FAILED)
    assert any("ZeroDivisionError" in line for line in printed(failing))
    after = alice.client.submit("print('after')", engine="python", creator=creator)
    ended(after, JobStatus.SUCCEED)
    assert printed(after) == ["after"]
    assert after.get().session_id == job.get().session_id


@pytest.mark.parametrize("engine", CRASHES)
def test_an_engine_that_dies_by_sigsegv_fails_its_job_alone(
    service: Service, alice: Caller, bystander: JobHandle, engine: str
) -> None:
    creator = new_creator()
    job = alice.client.submit(CRASHES[engine], engine=engine, creator=creator)
    if engine == "duckdb":
        _crash(service, job)
    ended(job, JobStatus.FAILED)
    error = job.get().error
    assert error is not None
    assert "SIGSEGV" in error.message
    assert any(" ERROR " in text and "SIGSEGV" in text for text in texts(job))
    until(lambda: not service.job_processes(job), "no process of the job is left")
    again = alice.client.submit(
        {"shell": ":", "python": "1", "duckdb": "SELECT 1"}[engine], engine=engine, creator=creator
    )
    ended(again, JobStatus.SUCCEED)
    if engine != "shell":  # whose sessions have no process that could die
        until(lambda: not service.session_directory(job).exists(), "the session's files are gone")


def texts_from(job: JobHandle, from_line: int) -> list[str]:
    return [line.text for line in job.log(from_line, 100).lines]


def _memory(service: Service) -> Iterator[tuple[str, int]]:
    """Every program of ours with its resident memory."""
    for process in service.footprint.processes():
        try:
            command = process.cmdline()
            if "-m" in command:
                yield command[command.index("-m") + 1], process.memory_info().rss
        except psutil.NoSuchProcess:
            continue


def _crash(service: Service, job: JobHandle) -> None:
    """Kills the engine of a job once it is at work, as a fault in its library would."""
    until(lambda: job.status() is JobStatus.RUNNING, "the job runs")
    (engine,) = until(lambda: service.job_processes(job), "the engine has a process")
    engine.send_signal(signal.SIGSEGV)
    engine.wait(PATIENCE)
