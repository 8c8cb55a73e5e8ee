"""A server and a gateway as real processes, and the callers who use them."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import grpc
import psutil

from entrance.client import Client, EntranceError, JobHandle, JobStatus, Unavailable
from entrance_server.service.tokens import new_token
from entrance_server.store import SqlStore
from tests.support.command import Command
from tests.support.daemon import Daemon
from tests.support.footprint import Footprint
from tests.support.rest import Rest
from tests.support.rpc import Rpc
from tests.support.waiting import PATIENCE, until

USERS = ("alice", "bob", "carol", "dave")  # callers without special rights
HOST = "127.0.0.1"
SETTINGS: Mapping[str, str] = {
    "ENTRANCE_GROUP_RUNNING": "2",  # so that a third job of a group waits
    "ENTRANCE_KILL_GRACE": "1",
    "ENTRANCE_MAX_SESSIONS": "16",  # idle ones of earlier tests are closed for later ones
}


class Caller:
    """One user on every way into the service. No token: somebody without credentials."""

    def __init__(self, token: str | None, service: Service) -> None:
        self.token = token
        self._service = service

    @cached_property
    def client(self) -> Client:
        return Client(f"{HOST}:{self._service.grpc_port}", token=self.token)

    @cached_property
    def rpc(self) -> Rpc:
        return Rpc(self._service.grpc_port, self.token)

    @cached_property
    def rest(self) -> Rest:
        return Rest(self._service.http_port, self.token)

    @cached_property
    def command(self) -> Command:
        environment = {
            **self._service.footprint.environment,
            "ENTRANCE_TARGET": f"{HOST}:{self._service.grpc_port}",
            "ENTRANCE_DATA_DIR": str(self._service.root / "nothing"),
        }
        if self.token:
            environment["ENTRANCE_TOKEN"] = self.token
        return Command(environment, self._service.directory)

    def reconnect(self) -> None:
        """Waits until connections over which the server was lost have found it again."""
        if "client" in self.__dict__:
            until(lambda: _answers(self.client), "the client finds the server again")
        if "rpc" in self.__dict__:
            grpc.channel_ready_future(self.rpc.channel).result(PATIENCE)

    def close(self) -> None:
        for connection in ("client", "rpc", "rest"):
            if connection in self.__dict__:
                self.__dict__[connection].close()


def _answers(client: Client) -> bool:
    try:
        client.engines()
    except Unavailable:
        return False
    except EntranceError:  # a refusal is an answer
        return True
    return True


class Service:
    """A server and a gateway on one data directory, started and ended as often as a test likes.

    `directory` is the working directory of commands, where tests also put files.
    """

    def __init__(self, root: Path, settings: Mapping[str, str]) -> None:
        self.root = root
        self.data_dir = root / "data"
        self.sessions_dir = self.data_dir / "sessions"
        self.directory = root / "work"
        self.directory.mkdir()
        self.footprint = Footprint(root)
        environment = {**self.footprint.environment, **settings}
        self.server = Daemon("server", ["entrance_server"], root=root, environment=environment)
        self.gateway = Daemon("gateway", ["entrance_gateway"], root=root, environment=environment)
        self.grpc_port = 0
        self.http_port = 0
        self._tokens = asyncio.run(new_tokens(self.data_dir, USERS))
        self._callers: list[Caller] = []

    def start_server(self) -> None:
        """Starts the server; at the port that it had before, if it ran before."""
        listen = ("--host", HOST, "--port", str(self.grpc_port))
        told = self.server.start("--data-dir", str(self.data_dir), *listen)
        self.grpc_port = told["port"]
        for caller in self._callers:
            caller.reconnect()

    def start_gateway(self) -> None:
        """Starts the gateway; at the port that it had before, if it ran before."""
        listen = ("--host", HOST, "--port", str(self.http_port))
        told = self.gateway.start(*listen, "--server-target", f"{HOST}:{self.grpc_port}")
        self.http_port = told["port"]

    def start(self) -> None:
        """Starts both."""
        self.start_server()
        self.start_gateway()

    def stop(self) -> None:
        """Stops what runs as an operator does; fails unless it ends well."""
        for daemon in (self.gateway, self.server):
            assert not daemon.runs or daemon.stop() == 0

    def restart_server(self) -> None:
        """Kills the server without a warning, and starts one on the same data."""
        self.server.kill()
        self.start_server()

    def restart_gateway(self) -> None:
        """Kills the gateway without a warning, and starts another one."""
        self.gateway.kill()
        self.start_gateway()

    @cached_property
    def admin(self) -> Caller:
        return self.caller_with((self.data_dir / "admin.token").read_text().strip())

    @cached_property
    def alice(self) -> Caller:
        return self.caller("alice")

    @cached_property
    def bob(self) -> Caller:
        return self.caller("bob")

    @cached_property
    def nobody(self) -> Caller:
        """Somebody without credentials."""
        return self.caller_with(None)

    def caller(self, user: str) -> Caller:
        """One of USERS."""
        return self.caller_with(self._tokens[user])

    def caller_with(self, token: str | None) -> Caller:
        """Whoever has that token."""
        self._callers.append(Caller(token, self))
        return self._callers[-1]

    def session_directory(self, job: JobHandle) -> Path:
        """Where the session of a job that has run has its files."""
        return self.sessions_dir / job.get().session_id

    def job_processes(self, job: JobHandle) -> list[psutil.Process]:
        """The living processes of user code in a job's session; the runner is not among them."""
        return self.footprint.working_below(self.session_directory(job) / "work")

    def close(self) -> None:
        """Ends connections, programs, and whatever jobs left, by force."""
        for caller in self._callers:
            caller.close()
        for daemon in (self.gateway, self.server):
            if daemon.runs:
                daemon.kill()
        self.footprint.end_by_force()


@contextmanager
def started_service(settings: Mapping[str, str] = SETTINGS) -> Iterator[Service]:
    """A service that runs; at the end all that is left of it is ended by force."""
    # a short path, since sockets lie below it
    root = Path(tempfile.mkdtemp(prefix="entrance-test-"))
    service = Service(root, settings)
    try:
        service.start()
        yield service
    finally:
        service.close()
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def running_service(settings: Mapping[str, str] = SETTINGS) -> Iterator[Service]:
    """A service that runs; at the end it is stopped, and must have left nothing behind."""
    with started_service(settings) as service:
        yield service
        if service.server.runs:
            end_all_jobs(service)
        service.stop()
        service.footprint.assert_clean()


def end_all_jobs(service: Service) -> None:
    """Kills what still runs, since a run goes on when its server stops."""
    unfinished = [status for status in JobStatus if not status.is_final]
    jobs = service.admin.client.list_jobs(statuses=unfinished)
    service.admin.client.kill_jobs(job.task_id for job in jobs)


async def new_tokens(data_dir: Path, users: Iterable[str]) -> dict[str, str]:
    """Makes the data directory with a token for each user; the server starts on it afterwards."""
    data_dir.mkdir(mode=0o700, exist_ok=True)
    return await tokens_in(f"sqlite:///{data_dir / 'entrance.db'}", users)


async def tokens_in(store_url: str, users: Iterable[str]) -> dict[str, str]:
    """Makes a token for each user in a store."""
    secrets = {}
    async with SqlStore(store_url) as store:
        for user in users:
            token, secrets[user] = new_token(user, is_admin=False)
            await store.put_token(token)
    return secrets
