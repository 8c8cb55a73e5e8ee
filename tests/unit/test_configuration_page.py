"""The guides say what the settings are."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrance_runner.engine import Engine
from entrance_runner.engines.duckdb import DuckDBEngine
from entrance_runner.engines.python import PythonEngine
from entrance_runner.engines.shell import ShellEngine
from entrance_server.config import ServerSettings, read_settings
from tests.support import settings_page


def test_the_page_is_made_from_the_settings() -> None:
    advice = "the settings have changed; run `make settings`"
    assert settings_page.PAGE.read_text() == settings_page.page(), advice


def test_every_setting_has_a_meaning() -> None:
    assert [line for line in settings_page.page().split("\n") if line.endswith("| . |")] == []


@pytest.mark.parametrize("engine", [DuckDBEngine, PythonEngine, ShellEngine])
def test_every_setting_of_an_engine_is_in_the_guide(engine: type[Engine]) -> None:
    guide = settings_page.PAGE.with_name("running-jobs.md").read_text()
    names = {parameter.name.replace("*", "NAME") for parameter in engine.parameters}
    assert {name for name in names if f"`{name}`" not in guide} == set()


def test_the_example_is_a_valid_file(tmp_path: Path) -> None:
    text = settings_page.HEAD.partition("```toml\n")[2].partition("```")[0]
    file = tmp_path / "entrance.toml"
    file.write_text(text)
    settings = read_settings(file)
    assert settings.group_limits[0].running == 100
    assert settings.preprocess.sql_limit_rows == 1000
    assert set(ServerSettings.model_fields) > {"retry_num", "engine_aliases"}
