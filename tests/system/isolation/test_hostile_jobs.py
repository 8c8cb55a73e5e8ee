"""A hostile job gets as far as the table says, at every level of isolation."""

from __future__ import annotations

import secrets
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from entrance.client import JobStatus
from tests.contract.cli.terminal import TerminalCommand
from tests.support.jobs import ended, new_creator, said, texts
from tests.support.service import Service
from tests.support.waiting import PATIENCE, until
from tests.system.isolation.attempts import (
    ATTEMPTS,
    GOT_THERE,
    KEPT_OUT,
    Target,
    script,
    scripts,
)
from tests.system.isolation.services import Installation
from tests.system.isolation.table import LEVELS, OUTCOMES, YES

PTRACE_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")

# Leaves its parents and its session, has another name, no variables and no directory of the job.
ESCAPE = """\
{python} -I - <<'END'
import os, signal
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.chdir("/")
        os.execve("/bin/sleep", ["another name", "{mark}"], {{}})
END
echo left
sleep 1000
"""

# The result is no longer what was written when the service comes to take it.
EXCHANGE = """\
import os
from entrance_runner.results import ResultDirectory
write = ResultDirectory.add_content
def exchange(self, *args, **kwargs):
    ResultDirectory.add_content = write
    result = write(self, *args, **kwargs)
    path = self._path / result.file_name
    {exchange}
    return result
ResultDirectory.add_content = exchange
'a text'
"""
EXCHANGES = {
    "a symbolic link": "path.unlink(); path.symlink_to({token!r})",
    "a file with another name": "path.with_name('second').hardlink_to(path)",
    "a pipe": "path.unlink(); os.mkfifo(path)",
    "a directory": "path.unlink(); path.mkdir()",
}


def is_stopped(attempt: str, installation: Installation) -> bool:
    return OUTCOMES[attempt][LEVELS.index(installation.level)] == YES


@pytest.fixture(scope="module")
def printed(service: Service, target: Target) -> Sequence[str]:
    """What the hostile jobs print, each in a session of its own."""
    lines: list[str] = []
    for attempts in scripts():
        job = service.alice.client.submit(script(attempts, target), engine="shell")
        job.wait(PATIENCE)
        lines += texts(job)
    return lines


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_an_attempt_gets_as_far_as_the_table_says(
    attempt: str, installation: Installation, printed: Sequence[str]
) -> None:
    if attempt.endswith("memory") and installation.level == "none" and _is_guarded():
        pytest.skip("the system keeps processes from each other's memory")
    if not is_stopped(attempt, installation):
        assert f"{GOT_THERE} {attempt}" in printed
    elif attempt == "compute for ever":
        assert any(line.endswith("exit status 137 (SIGKILL)") for line in printed)
        assert f"{GOT_THERE} {attempt}" not in printed
    else:
        assert f"{KEPT_OUT} {attempt}" in printed


def _is_guarded() -> bool:
    return PTRACE_SCOPE.exists() and PTRACE_SCOPE.read_text().strip() != "0"


def test_nothing_of_a_job_survives_its_kill(service: Service) -> None:
    mark = f"{secrets.randbelow(10**9) + 10**9}.5"
    code = ESCAPE.format(python=shlex.quote(sys.executable), mark=mark)
    job = service.alice.client.submit(code, engine="shell", creator=new_creator())
    said(job, "left")
    until(lambda: _marked(mark), "the process that escaped runs")
    job.kill()
    ended(job, JobStatus.CANCELLED)
    until(lambda: not _marked(mark), "the process that escaped is gone")


def _marked(mark: str) -> list[psutil.Process]:
    return [one for one in psutil.process_iter(["cmdline"]) if mark in (one.info["cmdline"] or [])]


@pytest.mark.parametrize("what", EXCHANGES)
def test_only_a_file_of_its_own_is_taken_for_a_result(
    what: str, service: Service, target: Target
) -> None:
    exchange = EXCHANGES[what].format(token=target.token)
    job = service.alice.client.submit(EXCHANGE.format(exchange=exchange), engine="python")
    until(lambda: job.status().is_final, "the job ends")
    assert job.results() == []
    assert any("not kept" in text for text in texts(job)), texts(job)


def test_what_a_job_prints_does_not_control_the_terminal_of_who_reads_it(
    service: Service,
) -> None:
    job = service.alice.client.submit(r"printf '\033]0;title\007\033[2Jred\n'", engine="shell")
    ended(job, JobStatus.SUCCEED)
    command = service.alice.command
    terminal = TerminalCommand(command.environment, command.directory)
    with terminal.on_terminal("log", str(job.task_id)) as shown:
        assert shown.wait() == 0
    assert "\x1b]0;title" not in shown.shown
    assert "\x1b[2J" not in shown.shown


def test_every_attempt_of_the_table_is_tried() -> None:
    elsewhere = {
        "survive a kill",
        "pass off another file as a result",
        "control a terminal by what is printed",
    }
    assert set(OUTCOMES) == set(ATTEMPTS) | elsewhere
