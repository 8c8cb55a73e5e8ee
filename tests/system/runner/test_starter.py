"""What starts the processes of a session, and what becomes of it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from entrance_runner.errors import ErrorCode
from tests.system.runner.client import FAILED, SUCCEED, RunnerClient, started_runner

SMALL = {"RLIMIT_CORE": 0, "RLIMIT_NOFILE": 400, "RLIMIT_NPROC": 2000, "RLIMIT_FSIZE": 2**20}
NAMED_SIGNALS = 2**31 - 1  # the first 31; two of the others are the C library's own
STATE = """
for limit in c n u f; do ulimit -S$limit; ulimit -H$limit; done
grep -E "^Sig(Blk|Ign)" /proc/self/status; ls /proc/self/fd | wc -l; readlink /proc/self/fd/0
echo $(ps -o pid=,pgid=,sid= $$ | tr ' ' '\n' | sort -u)"""
READY_TO_SLEEP = "(setsid sleep 1000 &); touch ready; sleep 1000"


async def test_a_starter_that_is_killed_ends_the_run_and_all_that_it_started(
    runner: RunnerClient,
) -> None:
    await runner.open("shell")
    run = await runner.start(READY_TO_SLEEP, "sh")
    await runner.until(lambda: (runner.work / "ready").exists() and len(runner.below()) >= 3)
    started = runner.below()
    runner.starter.kill()
    outcome = await runner.follow(run)
    assert (outcome.end.status, outcome.end.error.code) == (FAILED, ErrorCode.ENGINE_DIED)
    assert not outcome.end.session_usable
    assert not [process for process in started if process.is_running()]


async def test_a_runner_ends_when_it_has_lost_its_starter(runner: RunnerClient) -> None:
    await runner.open("shell")
    runner.starter.kill()
    assert await runner.process.wait() == 0


async def test_a_runner_without_a_session_ends_too_when_it_has_lost_its_starter(
    runner: RunnerClient,
) -> None:
    await runner.until(runner.socket.exists)
    runner.starter.kill()
    assert await runner.process.wait() == 0


async def test_code_gets_no_descriptor_but_its_own_three(runner: RunnerClient) -> None:
    await runner.open("shell")
    outcome = await runner.run("ls /proc/self/fd | wc -l; readlink /proc/self/fd/0", "sh")
    assert outcome.log == "4\n/dev/null\n"  # ls opens one to list them


async def test_code_is_ended_by_signals_that_the_starter_ignores(runner: RunnerClient) -> None:
    await runner.open("shell")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        outcome = await runner.run(f"kill -{number.value} $$; echo survived", "sh")
        assert outcome.end.error.message == number.name


@pytest.mark.parametrize("more", [{}, {"RLIMIT_CPU": 100}], ids=["taken on", "set before it"])
async def test_code_begins_with_limits_and_nothing_else_of_the_starter(
    tmp_path: Path, more: Mapping[str, int]
) -> None:
    policy = {"level": "limits", "limits": {**SMALL, **more}, "readable": [], "hidden": []}
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    async with started_runner(tmp_path, isolation=tmp_path / "policy.json") as runner:
        await runner.open("shell")
        for _ in range(2):
            limits, signals, descriptors, input, group = _parts((await runner.run(STATE, "sh")).log)
            assert limits == ["0", "0", "400", "400", "2000", "2000", "1024", "1024"]
            assert [int(mask.split()[1], 16) & NAMED_SIGNALS for mask in signals] == [0, 0]
            assert (descriptors, input) == ("4", "/dev/null")
            assert len(group.split()) == 1  # the leader of its session


def _parts(log: str) -> tuple[list[str], list[str], str, str, str]:
    lines = log.splitlines()
    limits, signals, (descriptors, input, group) = lines[:8], lines[8:10], lines[10:]
    return limits, signals, descriptors, input, group


async def test_an_orphan_that_ends_is_no_zombie_for_long(runner: RunnerClient) -> None:
    await runner.open("shell")
    run = await runner.start(
        "(sh -c 'sleep 0.1 & echo $! > orphan' &); read line < go", "sh", fifo="go"
    )
    orphan = runner.work / "orphan"
    await runner.until(lambda: orphan.exists() and orphan.read_text().endswith("\n"))
    await runner.until(lambda: not os.path.exists(f"/proc/{orphan.read_text().strip()}"))
    (runner.work / "go").write_text("\n")
    assert (await runner.follow(run)).end.status == SUCCEED


async def test_a_directory_that_is_gone_is_told_and_the_session_goes_on(
    runner: RunnerClient,
) -> None:
    await runner.open("shell")
    runner.work.rmdir()
    outcome = await runner.run("true", "sh")
    assert outcome.end.error.code == ErrorCode.ENGINE_DIED
    assert str(runner.work) in outcome.end.error.message
    runner.work.mkdir()
    assert (await runner.run("true", "sh")).end.status == SUCCEED


@pytest.mark.parametrize("size", [10, 100_000])
async def test_an_environment_of_any_size_arrives(runner: RunnerClient, size: int) -> None:
    await runner.open("shell")
    outcome = await runner.run("echo ${#LONG}", "sh", options={"env.LONG": "x" * size})
    assert outcome.log == f"{size}\n"
