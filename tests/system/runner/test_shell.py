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


async def test_progress_is_told_once_a_script_has_ended(runner: RunnerClient) -> None:
    outcome = await runner.run("true", "sh")
    assert [one.progress for one in outcome.progress] == [1]


async def test_a_script_that_prints_nothing_has_an_empty_log(runner: RunnerClient) -> None:
    outcome = await runner.run("true", "sh")
    assert (outcome.log, outcome.end.status) == ("", SUCCEED)


async def test_an_exit_status_fails_the_run_and_the_session_goes_on(runner: RunnerClient) -> None:
    outcome = await runner.run("echo before; exit 3", "sh")
    assert outcome.end.status == FAILED
    assert (outcome.end.error.code, outcome.end.error.message) == (40100, "exit status 3")
    assert outcome.end.session_usable
    assert outcome.log.startswith("before\n")
    assert outcome.log.endswith(" ERROR exit status 3\n")
    assert (await runner.run("echo again", "sh")).log == "again\n"


async def test_a_shell_that_crashes_fails_its_run_and_the_session_goes_on(
    runner: RunnerClient,
) -> None:
    outcome = await runner.run("kill -SEGV $$", "sh")
    assert (outcome.end.status, outcome.end.error.message) == (FAILED, "SIGSEGV")
    assert outcome.end.session_usable


async def test_a_script_of_1_mib_runs(runner: RunnerClient) -> None:
    script = "x=1\n" * (256 * 1024) + "echo done"
    assert (await runner.run(script, "sh")).log == "done\n"


async def test_a_command_that_reads_its_input_gets_none_of_the_script(runner: RunnerClient) -> None:
    outcome = await runner.run("cat\nread line || echo nothing\necho after", "sh")
    assert outcome.log == "nothing\nafter\n"


async def test_a_script_sees_its_directory_and_nothing_of_the_runners_environment(
    runner: RunnerClient,
) -> None:
    outcome = await runner.run("pwd; env | cut -d= -f1 | sort", "shell")
    directory, *names = outcome.log.splitlines()
    assert directory == str(runner.work)
    assert set(names) <= {"PATH", "PWD", "SHLVL", "_"}  # bash adds the last three


async def test_bytes_that_are_not_utf8_and_ansi_codes_are_shown(runner: RunnerClient) -> None:
    outcome = await runner.run(r"printf 'a\377b\n\033[31mred\033[0m\r\n'", "sh")
    assert outcome.log == "a\ufffdb\n\x1b[31mred\x1b[0m\r\n"


async def test_a_line_of_1_mib_without_an_end_becomes_lines_of_64_kib(runner: RunnerClient) -> None:
    outcome = await runner.run("head -c 1048576 /dev/zero | tr '\\0' x", "sh")
    assert outcome.log.replace("\n", "") == "x" * 1024 * 1024
    assert max(map(len, outcome.log.splitlines())) == 64 * 1024 - 1
    assert outcome.log.endswith("x\n")


async def test_a_script_that_closes_its_output_runs_to_its_end(runner: RunnerClient) -> None:
    outcome = await runner.run("echo a; exec >&- 2>&-; sleep 0.1; touch reached; exit 4", "sh")
    assert (outcome.log.splitlines()[0], outcome.end.error.message) == ("a", "exit status 4")
    assert (runner.work / "reached").exists()


async def test_what_a_script_leaves_behind_ends_with_it(runner: RunnerClient) -> None:
    outcome = await runner.run(
        "sleep 1000 &\n(setsid sh -c 'sleep 1000 & sleep 1000' &)\nnohup sleep 1000 &\necho forked",
        "sh",
    )
    assert outcome.log == "forked\n"
    assert outcome.end.status == SUCCEED
    assert not runner.below()


async def test_200_mb_of_output_pass_through_with_little_memory(runner: RunnerClient) -> None:
    run = await runner.start(
        "yes 'a line of some length, as programs print it' | head -c 200M", "sh"
    )
    before = runner.memory()
    peak = size = 0
    async for event in runner.events(run):
        size += len(event.log.text)
        peak = max(peak, runner.memory())
    assert size == 200 * 1024 * 1024 + 1  # the last line gets a newline
    assert peak - before < 40 * 1024 * 1024


async def test_output_that_nobody_reads_waits_in_the_job(runner: RunnerClient) -> None:
    run = await runner.start("yes | head -c 50M | tee copy; echo end", "sh")
    copy = runner.work / "copy"
    await runner.until(lambda: copy.exists() and copy.stat().st_size > 4 * 1024 * 1024)
    await runner.until_still(lambda: copy.stat().st_size)
    assert copy.stat().st_size < 20 * 1024 * 1024
    outcome = await runner.follow(run)
    assert outcome.log.endswith("y\nend\n")
    assert len(outcome.log) == 50 * 1024 * 1024 + len("end\n")


async def test_resources_are_those_of_all_processes_of_the_script(runner: RunnerClient) -> None:
    run = await runner.start("sleep 1000 & sleep 1000", "sh")
    async for event in runner.events(run):
        if event.resource.processes == 3:  # the shell and two children
            break
    assert event.resource.memory_bytes > 0
