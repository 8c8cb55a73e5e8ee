"""Where a client looks for the service and its token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from entrance.client import EntranceError
from entrance.client.discovery import data_dir, discover
from entrance.tls import TlsFiles


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


@pytest.mark.parametrize("target", ["db.example:9104", "127.0.0.1.example:9104", "10.0.0.7:1"])
def test_the_administrators_token_is_not_sent_to_another_machine(
    environment: dict[str, str], target: str
) -> None:
    assert discover(target, environment=environment).token is None


def test_a_served_socket_comes_before_the_port_since_it_needs_no_certificate(
    environment: dict[str, str], tmp_path: Path
) -> None:
    endpoints = {"grpc": {"host": "0.0.0.0", "port": 1, "tls": True, "socket": "/run/e/socket"}}
    (tmp_path / "endpoints.json").write_text(json.dumps(endpoints))

    access = discover(environment=environment)

    assert (access.target, access.token) == ("unix:/run/e/socket", "from-file")


class TestTls:
    def test_is_told_by_the_environment(self, environment: dict[str, str]) -> None:
        environment |= {
            "ENTRANCE_CLIENT_TLS_CERT": "own.pem",
            "ENTRANCE_CLIENT_TLS_KEY": "own.key",
            "ENTRANCE_CLIENT_TLS_CA": "ca.pem",
        }

        tls = discover(environment=environment).tls

        assert tls == TlsFiles(Path("own.pem"), Path("own.key"), Path("ca.pem"))

    def test_may_rest_on_the_authorities_of_the_system(self, environment: dict[str, str]) -> None:
        assert discover(environment=environment).tls is None
        environment["ENTRANCE_CLIENT_TLS"] = "true"
        assert discover(environment=environment).tls == TlsFiles()

    def test_takes_what_is_said_before_the_environment(self, environment: dict[str, str]) -> None:
        environment["ENTRANCE_CLIENT_TLS_CA"] = "ca.pem"
        said = TlsFiles(authorities=Path("other.pem"))
        assert discover(tls=said, environment=environment).tls == said

    def test_needs_a_certificate_and_its_key(self, environment: dict[str, str]) -> None:
        environment["ENTRANCE_CLIENT_TLS_CERT"] = "own.pem"
        with pytest.raises(EntranceError, match="a certificate without its key"):
            discover(environment=environment)


class TestATokenInClear:
    def test_is_not_sent_to_another_machine(self, environment: dict[str, str]) -> None:
        with pytest.raises(EntranceError, match="in clear") as caught:
            discover("db.example:9104", "said", environment=environment)
        assert caught.value.reason == "INSECURE"

    @pytest.mark.parametrize("variable", ["ENTRANCE_CLIENT_TLS", "ENTRANCE_CLIENT_INSECURE"])
    def test_is_sent_by_tls_or_when_the_network_is_trusted(
        self, environment: dict[str, str], variable: str
    ) -> None:
        environment[variable] = "true"
        assert discover("db.example:9104", "said", environment=environment).token == "said"

    @pytest.mark.parametrize(
        "target", ["127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/run/e/socket"]
    )
    def test_is_sent_within_the_machine(self, environment: dict[str, str], target: str) -> None:
        assert discover(target, "said", environment=environment).token == "said"


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
