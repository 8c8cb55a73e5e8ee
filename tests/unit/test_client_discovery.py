"""Where a client looks for the service and its token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from entrance.client import EntranceError
from entrance.client.discovery import data_dir, discover


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine with a data directory that holds a token."""
    (tmp_path / "admin.token").write_text("from-file\n")
    return {"ENTRANCE_DATA_DIR": str(tmp_path)}


def test_without_a_word_it_is_the_default_port_and_the_administrators_token(
    environment: dict[str, str],
) -> None:
    access = discover(environment=environment)

    assert (access.target, access.token) == ("127.0.0.1:9104", "from-file")


def test_what_is_said_comes_before_the_environment_and_that_before_files(
    environment: dict[str, str],
) -> None:
    environment |= {"ENTRANCE_TARGET": "localhost:1", "ENTRANCE_TOKEN": "from-environment"}

    assert discover(environment=environment).target == "localhost:1"
    assert discover(environment=environment).token == "from-environment"
    said = discover("localhost:2", "said", environment=environment)
    assert (said.target, said.token) == ("localhost:2", "said")


@pytest.mark.parametrize(
    ("host", "target"), [("127.0.0.1", "127.0.0.1:40001"), ("::1", "[::1]:40001")]
)
def test_the_ports_of_entrance_serve_are_found(
    environment: dict[str, str], tmp_path: Path, host: str, target: str
) -> None:
    endpoints = {"grpc": {"host": host, "port": 40001}}
    (tmp_path / "endpoints.json").write_text(json.dumps(endpoints))

    assert discover(environment=environment).target == target


@pytest.mark.parametrize("content", ["", "{", "[]", '{"grpc": 1}'])
def test_an_unreadable_endpoints_file_is_as_none(
    environment: dict[str, str], tmp_path: Path, content: str
) -> None:
    (tmp_path / "endpoints.json").write_text(content)

    assert discover(environment=environment).target == "127.0.0.1:9104"


def test_the_administrators_token_is_not_sent_to_another_machine(
    environment: dict[str, str],
) -> None:
    assert discover("db.example:9104", environment=environment).token is None


def test_a_token_file_that_cannot_be_read_is_told(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "admin.token").unlink()
    (tmp_path / "admin.token").mkdir()

    with pytest.raises(EntranceError, match=r"admin\.token can't be read"):
        discover(environment=environment)


def test_the_data_directory_follows_the_desktop_standard(tmp_path: Path) -> None:
    assert data_dir({"XDG_DATA_HOME": str(tmp_path)}) == tmp_path / "entrance"
    assert data_dir({}) == Path.home() / ".local/share/entrance"
