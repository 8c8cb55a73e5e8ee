"""Where settings come from, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrance_server.config import ConfigError, ServerSettings, read_settings
from entrance_server.scheduling import GroupRule

FILE = """\
port = 7
host = "::1"
max_running = 3

[engine_aliases]
hive = "duckdb"

[[group_limits]]
user = "etl_*"
running = 200

[[group_limits]]
engine_type = "python"
waiting = 5

[preprocess]
sql_limit = false
python_deny = ["subprocess"]
"""


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENTRANCE_CONFIG", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "entrance.toml"
    path.write_text(FILE)
    return path


def problem_of(tmp_path: Path, text: str) -> str:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_settings(path)
    return str(caught.value)


def test_without_a_file_everything_has_its_default() -> None:
    assert read_settings().model_dump() == ServerSettings().model_dump()


def test_a_file_gives_plain_and_nested_settings(file: Path) -> None:
    settings = read_settings(file)
    assert (settings.port, settings.host) == (7, "::1")
    assert settings.engine_aliases == {"hive": "duckdb"}
    assert settings.group_limits == (
        GroupRule(user="etl_*", running=200),
        GroupRule(engine_type="python", waiting=5),
    )
    assert not settings.preprocess.sql_limit
    assert settings.preprocess.python_deny == ("subprocess",)
    assert settings.preprocess.variables


def test_the_environment_names_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTRANCE_CONFIG", str(file))
    assert read_settings().port == 7


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTRANCE_PORT", "8")
    monkeypatch.setenv("ENTRANCE_MAX_RUNNING", "4")
    settings = read_settings(file, port=9)
    assert (settings.port, settings.max_running, settings.host) == (9, 4, "::1")


def test_the_environment_gives_nested_settings_one_by_one_or_as_json(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTRANCE_PREPROCESS__SQL_LIMIT_ROWS", "10")
    monkeypatch.setenv("ENTRANCE_GROUP_LIMITS", '[{"user": "bob", "running": 1}]')
    settings = read_settings(file)
    assert settings.preprocess.sql_limit_rows == 10
    assert not settings.preprocess.sql_limit
    assert settings.group_limits == (GroupRule(user="bob", running=1),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1", "prot: there is no such setting"),
        ("port = 'x'", "port: Input should be a valid integer"),
        ("[preprocess]\nsql_limt = true", "preprocess.sql_limt: there is no such setting"),
        ("[preprocess]\nsql_limit_rows = 0", "preprocess: sql_limit_rows must be at least 1"),
        ("[[group_limits]]\nrunning = 0", "group_limits.0: running must be at least 1"),
        ("[[group_limits]]\nusr = 'x'", "group_limits.0.usr: there is no such setting"),
        ("port = ", "wrong.toml"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    assert said in problem_of(tmp_path, text)


def test_every_wrong_setting_is_named_at_once(tmp_path: Path) -> None:
    assert problem_of(tmp_path, "port = -1\nmax_running = 0").count("\n") == 1


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml"):
        read_settings(tmp_path / "nothing.toml")


def test_a_variable_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTRANCE_GROUP_LIMITS", "[{")
    with pytest.raises(ConfigError, match=r"^ENTRANCE_GROUP_LIMITS: must be JSON, such as"):
        read_settings()
