"""Shell scripts in a real runner."""

import pytest

from tests.system.runner.client import FAILED, SUCCEED, RunnerClient


@pytest.fixture(autouse=True)
async def session(runner: RunnerClient) -> None:
    await runner.open("shell")


async def test_what_a_script_prints_becomes_its_log_in_order(runner: RunnerClient) -> None:
    outcome = await runner.run("echo one; echo two >&2; echo three", "shell")
    assert outcome.log == "one\ntwo\nthree\n"
    assert outcome.end.status == SUCCEED
    assert outcome.end.session_usable
    assert outcome.progress[-1].progress == 1


async def test_an_exit_status_fails_the_run_and_leaves_the_session_usable(
    runner: RunnerClient,
) -> None:
    outcome = await runner.run("echo before; exit 3", "sh")
    assert outcome.end.status == FAILED
    assert (outcome.end.error.code, outcome.end.error.message) == (40100, "exit status 3")
    assert outcome.end.session_usable
    assert outcome.log.startswith("before\n")
    assert outcome.log.endswith(" ERROR exit status 3\n")
    assert (await runner.run("echo again", "sh")).log == "again\n"
