"""Engines by name and the settings that they take."""

from importlib.metadata import EntryPoint

import pytest

from entrance_runner import engine
from entrance_runner.engine import EngineUnavailable, InvalidOption
from entrance_runner.engines.duckdb import DuckDBEngine
from entrance_runner.engines.shell import ShellEngine
from entrance_runner.errors import exit_text
from entrance_runner.parameters import Scope, size_of


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
        DuckDBEngine.check_options(Scope.STARTUP, {"duckdb.thread": "2"})
    with pytest.raises(InvalidOption, match=r"has no runtime setting x; it has: none"):
        DuckDBEngine.check_options(Scope.RUNTIME, {"x": "2"})


@pytest.mark.parametrize("text", ["two", "", "1.5", "²", "--1", "0", "257"])
def test_a_setting_of_another_type_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match=r"duckdb.threads must be a whole number"):
        DuckDBEngine.check_options(Scope.STARTUP, {"duckdb.threads": text})


def test_known_settings_are_taken() -> None:
    DuckDBEngine.check_options(Scope.STARTUP, {"duckdb.threads": "2", "duckdb.memory_limit": "1GB"})


def test_a_setting_can_stand_for_all_names_that_begin_alike() -> None:
    ShellEngine.check_options(Scope.RUNTIME, {"env.COLOUR": "blue", "env.": ""})
    with pytest.raises(InvalidOption):
        ShellEngine.check_options(Scope.RUNTIME, {"environment": ""})


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1048576", 2**20),
        ("512MiB", 512 * 2**20),
        ("2GB", 2 * 10**9),
        ("2 gb", 2 * 10**9),
        ("4g", 4 * 2**30),
        ("1.5K", 1536),
        ("1TiB", 2**40),
        ("7b", 7),
    ],
)
def test_sizes_are_read_with_their_units(text: str, size: int) -> None:
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1e9", "much", "1.GB", "1PB", "1" * 20, "²GB"])
def test_other_texts_are_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        size_of(text)


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
