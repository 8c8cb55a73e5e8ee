"""Kill, pause and resume in a real runner."""

import grpc
import psutil
import pytest

from tests.system.runner.client import CANCELLED, SUCCEED, RunnerClient

# Ignores SIGTERM, and so does a grandchild in a session of its own whose parents have ended.
STUBBORN = """
trap '' TERM
(setsid sh -c 'trap "" TERM; echo $$ > grandchild; while :; do sleep 0.05; done' &)
while [ ! -s grandchild ]; do sleep 0.01; done
echo yes > ready
while :; do sleep 0.05; done
"""

COUNTING = "n=0; while :; do n=$((n + 1)); echo $n > counter; sleep 0.01; done"


@pytest.fixture(autouse=True)
async def session(runner: RunnerClient) -> None:
    await runner.open("shell")


async def started(runner: RunnerClient, script: str, *, file: str) -> str:
    """A run that has made a file."""
    run = await runner.start(script, "sh")
    path = runner.work / file
    await runner.until(lambda: path.exists() and path.read_text())
    return run


def frozen(processes: list[psutil.Process]) -> bool:
    return bool(processes) and all(p.status() == psutil.STATUS_STOPPED for p in processes)


async def test_kill_ends_every_process_even_those_that_ignore_it(runner: RunnerClient) -> None:
    run = await started(runner, STUBBORN, file="ready")
    grandchild = psutil.Process(int((runner.work / "grandchild").read_text()))
    processes = runner.below()
    assert grandchild in processes
    await runner.interrupt(run, grace=0.1)
    outcome = await runner.follow(run)
    assert outcome.end.status == CANCELLED
    assert outcome.end.session_usable
    assert not [process for process in processes if process.is_running()]
    assert (await runner.run("echo next", "sh")).log == "next\n"


async def test_a_script_may_end_by_itself_within_the_grace_period(runner: RunnerClient) -> None:
    script = "trap 'echo bye; exit 0' TERM; echo yes > ready; while :; do sleep 0.05; done"
    run = await started(runner, script, file="ready")
    await runner.interrupt(run, grace=20)
    outcome = await runner.follow(run)
    assert outcome.log.endswith("bye\n")
    assert outcome.end.status == CANCELLED


async def test_a_run_can_be_killed_at_once(runner: RunnerClient) -> None:
    run = await runner.start("sleep 1000", "sh")
    await runner.interrupt(run, grace=0)
    assert (await runner.follow(run)).end.status == CANCELLED


async def test_killing_an_ended_run_changes_nothing(runner: RunnerClient) -> None:
    run = await runner.start("true", "sh")
    outcome = await runner.follow(run, acknowledge=False)
    await runner.interrupt(run, grace=0)
    assert (await runner.follow(run)).end == outcome.end
    assert outcome.end.status == SUCCEED


async def test_pause_stops_every_process_and_resume_lets_them_go_on(runner: RunnerClient) -> None:
    run = await started(runner, f"({COUNTING}) & wait", file="counter")
    counter = runner.work / "counter"
    await runner.pause(run)
    assert (await runner.describe()).paused
    await runner.until(lambda: frozen(runner.below()))
    value = counter.read_text()
    await runner.pause(run)
    assert counter.read_text() == value
    await runner.resume(run)
    await runner.until(lambda: counter.read_text() not in ("", value))
    assert not (await runner.describe()).paused
    await runner.resume(run)
    await runner.interrupt(run, grace=0)
    assert (await runner.follow(run)).end.status == CANCELLED


async def test_a_paused_run_can_be_killed(runner: RunnerClient) -> None:
    script = f"trap 'echo bye; exit 0' TERM; {COUNTING}"
    run = await started(runner, script, file="counter")
    await runner.pause(run)
    await runner.until(lambda: frozen(runner.below()))
    await runner.interrupt(run, grace=20)
    outcome = await runner.follow(run)
    assert outcome.log.endswith("bye\n")
    assert outcome.end.status == CANCELLED


async def test_a_process_that_was_stopped_before_stays_so(runner: RunnerClient) -> None:
    script = "sleep 1000 & kill -STOP $!; echo $! > stopped; sleep 1000"
    run = await started(runner, script, file="stopped")
    stopped = psutil.Process(int((runner.work / "stopped").read_text()))
    await runner.until(lambda: stopped.status() == psutil.STATUS_STOPPED)
    await runner.pause(run)
    await runner.until(lambda: frozen(runner.below()))
    await runner.resume(run)
    await runner.until(lambda: not frozen(runner.below()))
    assert stopped.status() == psutil.STATUS_STOPPED
    await runner.interrupt(run, grace=0)
    assert (await runner.follow(run)).end.status == CANCELLED


@pytest.mark.parametrize("call", ["interrupt", "pause", "resume"])
async def test_a_run_that_the_session_does_not_have_is_not_found(
    runner: RunnerClient, call: str
) -> None:
    arguments = {"grace": 0} if call == "interrupt" else {}
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await getattr(runner, call)("nobody", **arguments)
    assert error.value.code() == grpc.StatusCode.NOT_FOUND
