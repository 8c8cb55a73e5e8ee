"""Kill, pause and death of an IPython kernel in a real runner."""

import psutil
import pytest

from tests.system.runner.client import CANCELLED, FAILED, SUCCEED, RunnerClient


@pytest.fixture(autouse=True)
async def session(runner: RunnerClient) -> None:
    await runner.open("python")


async def test_a_killed_run_leaves_the_session_its_variables(runner: RunnerClient) -> None:
    code = "x = 1\nprint('begun')\nwhile True: pass"
    run = await runner.start(code, "python")
    async for event in runner.events(run):
        if event.log.text == "begun\n":
            await runner.interrupt(run, grace=20)
    assert event.end.status == CANCELLED
    assert event.end.session_usable
    assert (await runner.run("print(x)", "python")).log == "1\n"


async def test_a_run_can_be_killed_before_it_begins(runner: RunnerClient) -> None:
    run = await runner.start("x = 1\nwhile True: pass", "python")
    await runner.interrupt(run, grace=20)
    end = (await runner.follow(run)).end
    assert end.status == CANCELLED
    assert end.session_usable


async def test_code_that_ignores_the_interrupt_is_killed_with_its_kernel(
    runner: RunnerClient,
) -> None:
    code = (
        "import subprocess\nsubprocess.Popen(['setsid', 'sleep', '1000'])\n"
        "while True:\n  try:\n    print('begun')\n    while True: pass\n"
        "  except KeyboardInterrupt: pass"
    )
    run = await runner.start(code, "python")
    async for event in runner.events(run):
        if event.log.text.startswith("begun"):
            await runner.interrupt(run, grace=0.1)
    assert event.end.status == CANCELLED
    assert not event.end.session_usable
    assert not runner.below()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os\nos._exit(7)", "exit status 7"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("import ctypes\nctypes.string_at(0)", "SIGSEGV"),
    ],
)
async def test_a_kernel_that_dies_fails_its_run_and_ends_the_session(
    runner: RunnerClient, code: str, message: str
) -> None:
    outcome = await runner.run("print('before')\n" + code, "python")
    assert outcome.log.startswith("before\n")
    assert outcome.end.status == FAILED
    assert outcome.end.error.code == 40002
    assert outcome.end.error.message == f"the engine's process ended: {message}"
    assert not outcome.end.session_usable


async def test_processes_that_a_run_leaves_behind_end_with_it(runner: RunnerClient) -> None:
    kernel = runner.below()
    code = (
        "import subprocess\nsubprocess.Popen('(setsid sleep 1000 &) ; sleep 1000', shell=True)\n1"
    )
    outcome = await runner.run(code, "python")
    assert outcome.end.status == SUCCEED
    assert runner.below() == kernel


async def test_pause_freezes_the_kernel_and_resume_lets_it_go_on(runner: RunnerClient) -> None:
    # without `with`, Python drops an interrupt that comes as it closes the file
    code = "n = 0\nwhile True:\n  n += 1\n  with open('counter', 'w') as f: f.write(str(n))"
    run = await runner.start(code, "python")
    counter = runner.work / "counter"
    await runner.until(lambda: counter.exists() and counter.read_text())
    await runner.pause(run)
    await runner.until(lambda: all(p.status() == psutil.STATUS_STOPPED for p in runner.below()))
    value = counter.read_text()
    assert counter.read_text() == value
    await runner.resume(run)
    await runner.until(lambda: counter.read_text() not in ("", value))
    await runner.interrupt(run, grace=20)
    assert (await runner.follow(run)).end.session_usable
