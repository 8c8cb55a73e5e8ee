"""Engines by name and the settings that they take."""

from importlib.metadata import EntryPoint

import pytest

from entrance_runner import engine
from entrance_runner.engine import EngineUnavailable, InvalidOption
from entrance_runner.engines.duckdb import DuckDBEngine
from entrance_runner.engines.shell import ShellEngine
from entrance_runner.errors import exit_text


def points() -> list[EntryPoint]:
    group = engine.ENTRY_POINT_GROUP
    return [
        EntryPoint("duckdb", "entrance_runner.engines.duckdb:DuckDBEngine", group),
        EntryPoint("broken", "entrance_runner.engines.nowhere:Nothing", group),
    ]


def test_an_engine_is_found_by_its_entry_point() -> None:
    assert engine.find_engine("duckdb", points) is DuckDBEngine


def test_an_unknown_engine_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidOption, match=r"no engine 'hive'; installed are: broken, duckdb"):
        engine.find_engine("hive", points)


def test_an_engine_that_can_not_be_imported_is_unavailable() -> None:
    with pytest.raises(EngineUnavailable, match=r"the engine broken can't be imported"):
        engine.find_engine("broken", points)


def test_an_unknown_setting_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(
        InvalidOption, match=r"has no startup setting duckdb.thread; it has: .*threads"
    ):
        DuckDBEngine.check_options({"duckdb.thread": "2"})
    with pytest.raises(InvalidOption, match=r"has no startup setting x; it has: none"):
        ShellEngine.check_options({"x": "2"})


@pytest.mark.parametrize("text", ["two", "", "1.5", "²", "--1"])
def test_a_setting_of_another_type_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match=r"duckdb.threads must be a whole number"):
        DuckDBEngine.check_options({"duckdb.threads": text})


def test_known_settings_are_taken() -> None:
    DuckDBEngine.check_options({"duckdb.threads": "2", "duckdb.memory_limit": "1GB"})


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (3, "exit status 3"),
        (-11, "SIGSEGV"),
        (-99, "signal 99"),
        (137, "exit status 137 (SIGKILL)"),
        (255, "exit status 255"),
        (None, "exit status unknown"),
    ],
)
def test_an_exit_status_in_words(status: int | None, text: str) -> None:
    assert exit_text(status) == text
