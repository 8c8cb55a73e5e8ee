"""Python by an IPython kernel in a real runner."""

import pyarrow.parquet as pq
import pytest

from entrance.v1 import entrance_pb2
from tests.system.runner.client import FAILED, SUCCEED, RunnerClient


@pytest.fixture(autouse=True)
async def session(runner: RunnerClient) -> None:
    await runner.open("python")


async def test_a_session_keeps_its_variables_and_prints_go_to_the_log(runner: RunnerClient) -> None:
    assert (await runner.run("x = 41\nprint('set')", "python")).log == "set\n"
    outcome = await runner.run("import sys\nprint(x + 1)\nprint('e', file=sys.stderr)", "py")
    assert outcome.log == "42\ne\n"
    assert outcome.end.status == SUCCEED
    assert not outcome.results


async def test_displayed_objects_become_result_sets(runner: RunnerClient) -> None:
    run = await runner.start(
        "import pandas as pd\nimport matplotlib.pyplot as plt\n"
        "from IPython.display import HTML, display\n"
        "frame = pd.DataFrame({'a': [1, 2], 'b': ['x', None]})\ndisplay(frame)\n"
        "plt.plot([1, 2])\nplt.show()\ndisplay(HTML('<b>hi</b>'))\n6 * 7",
        "python",
    )
    outcome = await runner.follow(run)
    print(outcome.log, outcome.end)
    kinds = [entrance_pb2.ResultType.Name(r.result_set.type) for r in outcome.results]
    assert kinds == [f"RESULT_TYPE_{k}" for k in ("TABLE", "PICTURE", "HTML", "TEXT")]
    files = [runner.results(run) / r.file_name for r in outcome.results]
    assert pq.read_table(files[0]).to_pylist() == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert files[3].read_text() == "42"


async def test_an_exception_fails_the_run_with_its_line(runner: RunnerClient) -> None:
    outcome = await runner.run("print('a')\n\n1 / 0", "python")
    print(outcome.log)
    assert outcome.end.status == FAILED
    assert outcome.end.error.message == "ZeroDivisionError: division by zero (line 3)"
    assert outcome.end.session_usable
    assert "Traceback" in outcome.log
    assert "\x1b[" not in outcome.log
