"""Python by an IPython kernel in a real runner."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
import pytest_asyncio

from entrance.engine.v1 import engine_pb2 as pb
from entrance.v1 import entrance_pb2
from tests.system.runner.client import FAILED, SUCCEED, Outcome, RunnerClient, started_runner

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def runner(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunnerClient]:
    """One runner for all tests of this module: starting a kernel takes a while."""
    async with started_runner(tmp_path_factory.mktemp("runner")) as runner:
        await runner.open("python")
        yield runner


async def results(runner: RunnerClient, code: str) -> tuple[Outcome, list[Path]]:
    """What a run reported, and its result files in order."""
    run = await runner.start(code, "python")
    outcome = await runner.follow(run)
    assert [result.result_set.index for result in outcome.results] == list(
        range(len(outcome.results))
    )
    return outcome, [runner.results(run) / result.file_name for result in outcome.results]


def kinds(found: Sequence[pb.ResultEvent]) -> list[str]:
    names = [entrance_pb2.ResultType.Name(result.result_set.type) for result in found]
    return [name.removeprefix("RESULT_TYPE_") for name in names]


def memory(processes: Sequence[psutil.Process]) -> int:
    """Bytes that processes use."""
    return sum(process.memory_info().rss for process in processes)


async def test_a_session_keeps_its_variables_and_prints_go_to_the_log(runner: RunnerClient) -> None:
    assert (await runner.run("x = 41\nprint('set')", "python")).log == "set\n"
    outcome = await runner.run("import sys\nprint(x + 1)\nprint('e', file=sys.stderr)", "py")
    assert outcome.log == "42\ne\n"
    assert outcome.end.status == SUCCEED
    assert not outcome.results


async def test_output_of_child_processes_comes_in_order(runner: RunnerClient) -> None:
    code = "import os\nprint('a')\nos.system('echo b')\nprint('c', end='')\n!echo d"
    assert (await runner.run(code, "python")).log == "a\nb\ncd\n"


async def test_a_line_is_there_as_soon_as_it_is_printed(runner: RunnerClient) -> None:
    run = await runner.start("print('first')\nopen('go').read()", "python", fifo="go")
    async for event in runner.events(run):
        if event.log.text == "first\n":
            (runner.work / "go").write_text("")
    assert event.end.status == SUCCEED


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (r"raise ValueError('\udcff')", r"ValueError: \udcff (line 1)"),
        (r"raise KeyError('\udcff')", r"KeyError: '\udcff' (line 1)"),
        ("raise SyntaxError", "SyntaxError (line 1)"),
    ],
)
async def test_an_error_is_told_whatever_it_says(
    runner: RunnerClient, code: str, told: str
) -> None:
    outcome = await runner.run(code, "python")
    assert (outcome.end.status, outcome.end.error.message) == (FAILED, told)


async def test_displayed_objects_become_result_sets(runner: RunnerClient) -> None:
    outcome, files = await results(
        runner,
        "import pandas as pd\nfrom IPython.display import HTML, SVG, display\n"
        "display(pd.DataFrame({'a': [1, 2], 'b': ['x', None]}))\n"
        "display(HTML('<b>grün</b>'))\ndisplay(SVG('<svg xmlns=\"x\"/>'))\n6 * 7",
    )
    assert kinds(outcome.results) == ["TABLE", "HTML", "PICTURE", "TEXT"]
    assert outcome.log == ""
    assert pq.read_table(files[0]).to_pylist() == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    columns = [(c.name, c.data_type) for c in outcome.results[0].result_set.columns]
    assert columns == [("a", "bigint"), ("b", "string")]
    assert outcome.results[0].result_set.row_count == 2
    assert files[1].read_text() == "<b>grün</b>"
    assert outcome.results[2].result_set.media_type == "image/svg+xml"
    assert files[3].read_text() == "42"
    assert outcome.results[3].result_set.size_bytes == 2


async def test_a_figure_becomes_a_picture_by_itself(runner: RunnerClient) -> None:
    outcome, (file,) = await results(
        runner, "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2, 1])"
    )
    assert kinds(outcome.results) == ["PICTURE"]
    assert outcome.results[0].result_set.media_type == "image/png"
    assert file.read_bytes().startswith(b"\x89PNG")


async def test_tables_of_several_libraries_become_result_sets(runner: RunnerClient) -> None:
    outcome, files = await results(
        runner,
        "import duckdb, pyarrow as pa\nfrom IPython.display import display\n"
        "display(pa.table({'n': [1]}))\ndisplay(duckdb.sql('select 2 n'))\n"
        "display(pa.RecordBatchReader.from_batches(pa.schema({'n': pa.int64()}), "
        "iter([pa.record_batch({'n': [3]})])))",
    )
    assert kinds(outcome.results) == ["TABLE"] * 3
    assert [pq.read_table(file).to_pylist() for file in files] == [[{"n": n}] for n in (1, 2, 3)]


async def test_a_frame_keeps_its_index_and_columns_of_several_types(runner: RunnerClient) -> None:
    _, files = await results(
        runner,
        "import pandas as pd\n"
        "display(pd.DataFrame({'n': [1]}, index=['x']))\n"
        "display(pd.DataFrame({'m': [1, 'a', None]}))",
    )
    assert pq.read_table(files[0]).to_pylist() == [{"n": 1, "index": "x"}]
    assert pq.read_table(files[1]).to_pylist() == [{"m": "1"}, {"m": "a"}, {"m": None}]


async def test_what_can_not_be_a_table_is_shown_as_text(runner: RunnerClient) -> None:
    outcome, (file,) = await results(
        runner, "import pandas as pd\npd.DataFrame([[1, 2]], columns=['a', 'a'])"
    )
    assert kinds(outcome.results) == ["TEXT"]
    assert file.read_text() == "   a  a\n0  1  2"
    assert outcome.log.startswith("shown as text, since it can't be a table: ")


async def test_an_exception_fails_the_run_with_its_line(runner: RunnerClient) -> None:
    outcome = await runner.run("print('a')\ndef f():\n    1 / 0\nf()", "python")
    assert outcome.end.status == FAILED
    assert outcome.end.error.code == 40200
    assert outcome.end.error.message == "ZeroDivisionError: division by zero (line 3)"
    assert outcome.end.session_usable
    assert outcome.log.startswith("a\n")
    assert "Traceback (most recent call last)" in outcome.log
    assert "\x1b[" not in outcome.log


async def test_code_that_is_not_python_fails_with_its_line(runner: RunnerClient) -> None:
    outcome = await runner.run("x = 1\ny = = 2", "python")
    assert outcome.end.error.message == "SyntaxError: invalid syntax (line 2)"


async def test_asking_for_input_fails_at_once(runner: RunnerClient) -> None:
    outcome = await runner.run("input('name?')", "python")
    assert outcome.end.error.message.startswith("StdinNotImplementedError")
    assert outcome.end.session_usable


@pytest.mark.parametrize("code", ["import sys\nsys.exit()", "exit()", "quit(0)"])
async def test_a_normal_exit_ends_the_run_and_not_the_session(
    runner: RunnerClient, code: str
) -> None:
    outcome = await runner.run("x = 1\n" + code, "python")
    assert (outcome.log, outcome.end.status) == ("", SUCCEED)
    assert (await runner.run("print(x)", "python")).log == "1\n"


async def test_an_exit_with_a_status_fails_the_run(runner: RunnerClient) -> None:
    outcome = await runner.run("exit('bad data')", "python")
    assert outcome.end.error.message == "SystemExit: bad data (line 1)"
    assert outcome.end.session_usable


async def test_code_at_the_top_level_may_await(runner: RunnerClient) -> None:
    code = "import asyncio\nawait asyncio.sleep(0)\nprint('done')"
    assert (await runner.run(code, "python")).log == "done\n"


async def test_modules_beside_the_code_are_found_and_shadow_nothing_of_the_kernel(
    runner: RunnerClient,
) -> None:
    (runner.work / "mine.py").write_text("answer = 42")
    (runner.work / "json.py").write_text("raise RuntimeError")
    assert (await runner.run("import mine\nprint(mine.answer)", "python")).log == "42\n"


async def test_code_sees_the_environment_of_the_session_alone(runner: RunnerClient) -> None:
    outcome = await runner.run("import os\nprint(*os.environ, os.getcwd(), sep='\\n')", "python")
    *names, directory = outcome.log.splitlines()
    assert directory == str(runner.work)
    assert set(names) == {"PATH", "MPLBACKEND", "LC_CTYPE"}  # Python and matplotlib need the others


async def test_much_output_passes_through_with_little_memory(runner: RunnerClient) -> None:
    code = "text = ('x' * 1023 + '\\n') * 1024\nfor _ in range(100): print(text, end='')"
    run = await runner.start(code, "python")
    watched = [runner.host, *runner.below()]
    before = memory(watched)
    peak = size = 0
    async for event in runner.events(run):
        size += len(event.log.text)
        peak = max(peak, memory(watched))
    assert size == 100 * 1024 * 1024
    assert peak - before < 40 * 1024 * 1024


async def test_a_large_result_does_not_pass_through_the_runner(runner: RunnerClient) -> None:
    before = runner.memory()
    outcome, (file,) = await results(
        runner, "from IPython.display import HTML\nHTML('x' * 100_000_000)"
    )
    assert outcome.results[0].result_set.size_bytes == 100_000_000
    assert file.stat().st_size == 100_000_000
    assert runner.memory() - before < 20_000_000
