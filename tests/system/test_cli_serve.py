"""`entrance serve`: server and gateway start, work and end together."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from entrance.cli.exits import ExitCode
from tests.support.certificates import Certified
from tests.support.command import Command
from tests.support.waiting import PATIENCE, until

FREE_PORTS = ("--grpc-port", "0", "--http-port", "0")


class Serve:
    """A running `entrance serve` with its children."""

    def __init__(self, command: Command, data_dir: Path, *arguments: str) -> None:
        self.data_dir = data_dir
        self.process = command.start("serve", "--json", "--data-dir", data_dir, *arguments)

    def endpoints(self) -> dict[str, dict[str, str | int]]:
        """Where it listens, once it says so."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.end()
        told: dict[str, dict[str, str | int]] = json.loads(line)
        return told

    def children(self) -> dict[str, psutil.Process]:
        """Its children by the module that they run."""
        found = psutil.Process(self.process.pid).children()
        return {child.cmdline()[4]: child for child in found}

    def end(self) -> tuple[int, str]:
        """Its exit status and what it wrote to stderr, after its end."""
        _, told = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, told.decode()


def lives(process: psutil.Process) -> bool:
    """Whether a process has not ended; one that waits to be reaped has."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def command(tmp_path: Path) -> Command:
    # no runner waits in advance: one would outlive a server that is killed, as it should
    settings = {"ENTRANCE_DATA_DIR": str(tmp_path / "data"), "ENTRANCE_WARM_RUNNERS": "0"}
    environment = {**os.environ, **settings}
    return Command(environment, tmp_path)


@pytest.fixture
def serve(command: Command, tmp_path: Path) -> Iterator[Serve]:
    service = Serve(command, tmp_path / "data", *FREE_PORTS)
    yield service
    if service.process.poll() is None:
        service.process.terminate()
    service.end()


def test_it_serves_both_protocols_until_it_is_told_to_stop(serve: Serve, command: Command) -> None:
    endpoints = serve.endpoints()
    children = serve.children()

    assert json.loads((serve.data_dir / "endpoints.json").read_text()) == endpoints
    health = f"http://127.0.0.1:{endpoints['http']['port']}/health"
    assert json.load(urllib.request.urlopen(health, timeout=PATIENCE))["status"] == 0
    # the data directory alone tells the command where the service is and with which token
    done = command.run("submit", "-e", "echo hello", "--engine", "shell", "-f")
    assert "hello" in done.lines

    serve.process.terminate()
    assert serve.end()[0] == 0
    assert not (serve.data_dir / "endpoints.json").exists()
    assert not any(lives(child) for child in children.values())


@pytest.mark.parametrize(
    ("module", "name", "other"),
    [
        ("entrance_server", "server", "entrance_gateway"),
        ("entrance_gateway", "gateway", "entrance_server"),
    ],
)
def test_when_one_child_dies_the_other_is_stopped_and_the_end_names_it(
    serve: Serve, module: str, name: str, other: str
) -> None:
    serve.endpoints()
    children = serve.children()

    children[module].kill()

    code, told = serve.end()
    assert code == 1
    assert json.loads(told.splitlines()[-1]) == {
        "error": {"message": f"the {name} ended by itself: SIGKILL"}
    }
    assert not lives(children[other])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_children_do_not_outlive_a_killed_parent(serve: Serve) -> None:
    serve.endpoints()
    children = serve.children()

    serve.process.kill()

    until(lambda: not any(lives(child) for child in children.values()), "they ended")


def test_a_port_that_is_taken_ends_it_with_what_to_change(command: Command, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = command.run("serve", "--data-dir", tmp_path / "data", "--grpc-port", port)

    assert done.code == 1
    assert "choose another one with --host and --port" in done.stderr
    assert done.stderr.splitlines()[-1] == "error: the server ended by itself: exit status 1"


def test_a_signal_while_it_starts_ends_it_too(command: Command, tmp_path: Path) -> None:
    service = Serve(command, tmp_path / "data", *FREE_PORTS)
    until(lambda: psutil.Process(service.process.pid).children(), "a child was started")

    service.process.send_signal(signal.SIGINT)

    assert service.end()[0] == 0


def test_the_server_takes_its_settings_from_a_file(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "entrance.toml"
    file.write_text("engines = ['shell']\n")
    service = Serve(command, tmp_path / "data", *FREE_PORTS, "--config", str(file))
    service.endpoints()
    (engine,) = command.json("engines")
    assert engine["engineType"] == "shell"
    service.process.terminate()
    assert service.end()[0] == 0


def test_a_file_with_a_wrong_setting_ends_it_with_what_to_change(
    command: Command, tmp_path: Path
) -> None:
    file = tmp_path / "entrance.toml"
    file.write_text("group_runing = 3\n")
    code, told = Serve(command, tmp_path / "data", *FREE_PORTS, "--config", str(file)).end()
    assert code == 1
    assert "group_runing: there is no such setting" in told


@pytest.mark.parametrize("part", ["server", "gateway"])
def test_a_part_alone_says_its_port_and_ends_by_a_signal(
    command: Command, tmp_path: Path, part: str
) -> None:
    ready = tmp_path / "ready"
    process = command.start(part, "--port", "0", "--ready-file", ready)
    try:
        until(lambda: ready.exists() or process.poll() is not None, f"the {part} serves")
        port = json.loads(ready.read_text())["port"]
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE):
            pass
        process.terminate()
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


class TestByTls:
    @pytest.fixture
    def certified(self, tmp_path: Path) -> Certified:
        return Certified(tmp_path / "tls")

    @pytest.fixture
    def caller(self, tmp_path: Path) -> Certified:
        """A caller with a certificate by an authority of its own."""
        return Certified(tmp_path / "caller", names=["caller.example"])

    @pytest.fixture
    def serve(
        self, command: Command, tmp_path: Path, certified: Certified, caller: Certified
    ) -> Iterator[Serve]:
        own = ("--tls-cert", str(certified.certificate), "--tls-key", str(certified.key))
        tls = (*own, "--tls-client-ca", str(caller.authorities))
        service = Serve(command, tmp_path / "data", *FREE_PORTS, "--host", "0.0.0.0", *tls)
        yield service
        service.process.terminate()
        service.end()

    def test_it_serves_both_protocols(
        self, serve: Serve, command: Command, certified: Certified, caller: Certified
    ) -> None:
        endpoints = serve.endpoints()
        assert endpoints["grpc"]["tls"]
        assert endpoints["http"]["tls"]

        health = f"https://127.0.0.1:{endpoints['http']['port']}/health"
        context = ssl.create_default_context(cafile=certified.authorities)
        answer = urllib.request.urlopen(health, timeout=PATIENCE, context=context)
        assert json.load(answer)["status"] == 0
        target = ("--target", f"127.0.0.1:{endpoints['grpc']['port']}")
        trust = ("--tls-ca", str(certified.authorities))
        own = ("--tls-cert", str(caller.certificate), "--tls-key", str(caller.key))
        done = command.run("engines", *target, *trust, *own)
        assert "duckdb" in done.text, done.stderr
        for others in (trust, ("--tls-ca", str(caller.authorities), *own), ()):
            refused = command.run("engines", *target, *others)
            assert refused.code == ExitCode.REFUSED
            assert "Is it running?" in refused.stderr

    def test_the_data_directory_alone_still_tells_the_command_all_it_needs(
        self, serve: Serve, command: Command
    ) -> None:
        serve.endpoints()
        done = command.run("submit", "-e", "echo hello", "--engine", "shell", "-f")
        assert "hello" in done.lines, done.stderr


def test_a_token_goes_to_another_machine_by_tls_or_a_plain_word_alone(command: Command) -> None:
    call = ("list", "--target", "service.example:1", "--token", "ent_x")
    done = command.run(*call)
    assert done.code != 0
    assert "The token would go to service.example:1 in clear" in done.stderr.replace("\n", " ")
    assert "in clear" not in command.run(*call, "--insecure").stderr


def test_a_certificate_without_its_key_is_refused(command: Command, tmp_path: Path) -> None:
    done = command.run("list", "--tls-cert", tmp_path / "own.pem")
    assert done.code == ExitCode.USAGE
    assert "a certificate without its key" in done.stderr


def test_beyond_this_machine_it_starts_by_tls_or_a_plain_word_alone(command: Command) -> None:
    done = command.run("serve", "--host", "0.0.0.0")

    assert done.code == 1
    assert "on 0.0.0.0 without TLS" in done.stderr
    assert "--insecure" in done.stderr


def test_a_certificate_that_can_not_be_used_ends_it_with_what_to_change(
    command: Command, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.pem"
    done = command.run("gateway", "--tls-cert", missing, "--tls-key", missing)

    assert done.code == 1
    assert "missing.pem can't be used: No such file or directory" in done.stderr.replace("\n", " ")
