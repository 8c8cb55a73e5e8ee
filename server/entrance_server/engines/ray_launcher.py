"""Places runners on the nodes of a Ray cluster, each held by an actor, and calls them by TLS."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc.aio
import structlog

from entrance_server.domain.job import SessionRecord
from entrance_server.domain.sizes import spoken
from entrance_server.engines.authority import Authority, runner_name
from entrance_server.engines.failures import SessionRefused
from entrance_server.engines.isolation import SessionIsolation
from entrance_server.engines.launcher import PASSED_ENVIRONMENT
from entrance_server.engines.parameters import RAY_CORES, RAY_MEMORY, asked_of_ray
from entrance_server.engines.processes import SESSION_VARIABLE
from entrance_server.engines.ray_link import RayLink, RayRefused, RayUnavailable
from entrance_server.engines.ray_order import Order
from entrance_server.engines.runners import CHANNEL_OPTIONS, Runner, Squeezed
from entrance_server.engines.setup import Setup, set_up

log = structlog.get_logger(__name__)

KEEPALIVE = 2_000  # milliseconds
LOST_AFTER = 5.0  # seconds without a connection
LOOK_INTERVAL = 0.5  # seconds
RETRY_INTERVAL = 2.0  # seconds
REAP_TIMEOUT = 10.0  # seconds
OWNER_FILE = "owner"  # in a session's directory, since servers may share the one above

_NETWORK_OPTIONS = (
    ("grpc.keepalive_time_ms", KEEPALIVE),
    ("grpc.keepalive_timeout_ms", KEEPALIVE),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)


class RayMissing(Exception):
    """The package ray is not installed."""


class RayRunner:
    """A runner on a node, alive while there is a connection to it."""

    def __init__(
        self,
        *,
        session_id: str,
        address: str,
        pid: int,
        credentials: grpc.ChannelCredentials,
        launcher: RayLauncher,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.session_id = session_id
        self.address = address
        self.pid = pid
        self.process_start = 0.0
        self.host = ""
        self.directory = ""
        self.environment = environment or {}
        self.ended = asyncio.Event()
        self.status: int | None = None
        self._reason: str | None = None
        self._doubt = ""
        self._credentials = credentials
        self._launcher = launcher
        self._channel: grpc.aio.Channel | None = None
        self._missed_since: float | None = None

    @property
    def node(self) -> str:
        """The address of its node."""
        return self.address.partition(":")[2].rpartition(":")[0]

    def channel(self) -> grpc.aio.Channel:
        """A connection on which both sides show certificates, and silence is noticed."""
        name = runner_name(self.session_id)
        self._channel = grpc.aio.secure_channel(
            self.address,
            self._credentials,
            options=(
                *CHANNEL_OPTIONS,
                *_NETWORK_OPTIONS,
                ("grpc.ssl_target_name_override", name),
                ("grpc.default_authority", name),
            ),
        )
        return self._channel

    def is_listening(self) -> bool:
        """Always: it was placed after it had begun to listen."""
        return True

    def is_alive(self) -> bool:
        """Whether it has not ended, and was reached within `LOST_AFTER` seconds."""
        if self.ended.is_set() or self._channel is None:
            return False
        if self._is_connected(self._channel):
            self._missed_since = None
        elif self._missed_since is None:
            self._missed_since = _now()
        elif self._doubt or _now() - self._missed_since > LOST_AFTER:
            self.end(None, self._doubt or f"its node {self.node} does not answer any more")
        return not self.ended.is_set()

    def _is_connected(self, channel: grpc.aio.Channel) -> bool:
        try:
            state = channel.get_state(try_to_connect=True)
        except grpc.aio.UsageError:  # closed by whoever used it
            return False
        return state is grpc.ChannelConnectivity.READY

    def loss(self) -> str | None:
        """Why it does not live, where that is known."""
        return self._reason

    def doubt(self, reason: str) -> None:
        """Notes that Ray knows it no more: it has ended once it can't be reached either."""
        self._doubt = reason

    def end(self, status: int | None, reason: str | None) -> None:
        """Notes that it has ended."""
        if not self.ended.is_set():
            self.status, self._reason = status, reason
            self.ended.set()

    def kill_tree(self) -> None:
        """Lets Ray end its actor, with which it ends."""
        self._launcher.kill(self.session_id)


class RayLauncher:
    """Places runners by Ray. An async context manager: it owns the connection and what watches."""

    def __init__(
        self,
        *,
        address: str,
        owner: str,
        authority: Authority,
        isolation: SessionIsolation,
        python_executable: str,
        orphan_timeout: float,
        open_timeout: float,
        working_directories: Sequence[Path] = (),
    ) -> None:
        if importlib.util.find_spec("ray") is None:
            raise RayMissing("launcher is ray, but Ray is not installed; install entrance[ray]")
        self._link = RayLink(address)
        self._owner = owner
        self._authority = authority
        self._isolation = isolation
        self._python = python_executable
        self._orphan_timeout = orphan_timeout
        self._open_timeout = open_timeout
        self._working_directories = working_directories
        self._runners: dict[str, RayRunner] = {}
        self._launched = set[str]()  # from before there is anything of one on
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> RayLauncher:
        await self._link.__aenter__()
        await self._tasks.__aenter__()
        self._looking = self._tasks.create_task(self._look())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in [self._looking, *self._watches.values()]:
            task.cancel()
        await self._tasks.__aexit__(None, None, None)
        await self._link.__aexit__(None, None, None)

    def directory(self, session_id: str) -> Path:
        """The session's own directory, which its node sees at the same path."""
        return self._isolation.sessions_dir / session_id

    async def launch(self, options: Mapping[str, str], squeezed: Squeezed) -> RayRunner:
        """Places a runner with the cores and the memory that a session asks for.

        Raises:
            OSError: its directory could not be made.
            SessionRefused: Ray is not reachable, or has no room for it within the time that an
                engine may take to start.
        """
        session_id = secrets.token_hex(8)
        asked = _Asked(options)
        self._launched.add(session_id)
        try:
            order = await asyncio.to_thread(self._order, session_id)
            place = await self._place(order, asked, squeezed)
        except BaseException:
            self.kill(session_id)
            await asyncio.to_thread(self._remove_files, session_id)
            self._launched.discard(session_id)
            raise
        return self._watched(
            session_id, place["address"], place["pid"], environment=place["environment"]
        )

    async def _place(self, order: Order, asked: _Asked, squeezed: Squeezed) -> Any:
        async def noticed(rooms: Any) -> None:
            asked.rooms = rooms
            await squeezed(f"Your job waits for room on the Ray cluster: {asked}.")

        try:
            async with asyncio.timeout(self._open_timeout):
                return await self._link.call(
                    "launch",
                    noticed=noticed,
                    owner=self._owner,
                    cores=asked.cores,
                    memory=asked.memory,
                    order=asdict(order),
                )
        except TimeoutError:
            raise SessionRefused(
                f"the Ray cluster gave no room within {self._open_timeout:g} seconds: {asked}; ask "
                f"for less by {RAY_CORES} and {RAY_MEMORY}, or try again"
            ) from None
        except (RayUnavailable, RayRefused) as error:
            raise SessionRefused(str(error)) from None

    def _order(self, session_id: str) -> Order:
        directory = self._isolation.make_directory(session_id)
        (directory / "work").mkdir(mode=0o700)
        (directory / OWNER_FILE).write_text(self._owner, encoding="utf-8")
        own = self._authority.runner(session_id)
        return Order(
            session_id=session_id,
            directory=str(directory.resolve()),
            python=self._python,
            arguments=[
                f"--orphan-timeout={self._orphan_timeout}",
                *self._isolation.arguments(session_id),
            ],
            environment={SESSION_VARIABLE: session_id},
            passed_environment=PASSED_ENVIRONMENT,
            credentials={
                "key": own.key.decode(),
                "certificate": own.certificate.decode(),
                "authority": self._authority.certificate.decode(),
            },
        )

    def attach(self, record: SessionRecord) -> RayRunner:
        """The runner of a session that an earlier server opened, or another one of the store."""
        return self._watched(record.session_id, record.address, record.pid)

    def _watched(
        self,
        session_id: str,
        address: str,
        pid: int,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> RayRunner:
        runner = RayRunner(
            session_id=session_id,
            address=address,
            pid=pid,
            credentials=self._authority.caller(),
            launcher=self,
            environment=environment,
        )
        self._runners[session_id] = runner
        self._watches[session_id] = self._tasks.create_task(self._watch(runner))
        return runner

    async def set_up(self, session_id: str, options: Mapping[str, str]) -> Setup:
        """What a session is opened with; its environment is the node's.

        Raises:
            SessionRefused: its working directory is not there or not allowed.
        """
        return await asyncio.to_thread(
            set_up,
            options,
            own_directory=(self.directory(session_id) / "work").resolve(),
            environment=self._runners[session_id].environment,
            fixed_environment={SESSION_VARIABLE: session_id},
            allowed=self._working_directories,
        )

    async def reap(self, runner: Runner) -> int | None:
        """Waits for the end of a runner, by force after a while, and removes what it left."""
        session_id = runner.session_id
        known = self._runners.pop(session_id, None)
        if known is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REAP_TIMEOUT):
                    await known.ended.wait()
        if (watch := self._watches.pop(session_id, None)) is not None:
            watch.cancel()
        await self.end_stray(session_id)
        self._launched.discard(session_id)
        return known.status if known else None

    async def found(self) -> set[str]:
        """The sessions of this server with actors or files that this object did not launch."""
        try:
            actors = await self._link.call("list", owner=self._owner)
        except (RayUnavailable, RayRefused) as error:
            log.warning("actors of earlier sessions not looked for", reason=str(error))
            actors = []
        return {*actors, *await asyncio.to_thread(self._found)} - self._launched

    async def end_stray(self, session_id: str) -> None:
        """Ends a session's actor and with it the runner, and removes what it left."""
        await self._kill(session_id)
        await asyncio.to_thread(self._remove_files, session_id)

    def kill(self, session_id: str) -> None:
        """Begins to end a session's actor."""
        self._tasks.create_task(self._kill(session_id))

    async def _kill(self, session_id: str) -> None:
        try:
            await self._link.call("kill", session_id=session_id)
        except (RayUnavailable, RayRefused) as error:
            # the runner ends by itself when no server calls it, and its actor with it
            log.warning("actor not ended", session=session_id, reason=str(error))

    async def _watch(self, runner: RayRunner) -> None:
        """Learns from Ray how a runner ends; without Ray its connection alone tells that it did."""
        while True:
            try:
                status = await self._link.call("wait", session_id=runner.session_id)
            except RayUnavailable:
                await asyncio.sleep(RETRY_INTERVAL)
                await self._link.until_connected()
            except RayRefused as error:
                return runner.doubt(f"its actor on the node {runner.node} is gone: {error}")
            else:
                return _note_end(runner, status)

    async def _look(self) -> None:
        """Looks at the connections of all runners, so that a loss is known when one is needed."""
        while True:
            for runner in list(self._runners.values()):
                runner.is_alive()
            await asyncio.sleep(LOOK_INTERVAL)

    def _found(self) -> set[str]:
        directory = self._isolation.sessions_dir
        owners = directory.glob(f"*/{OWNER_FILE}") if directory.exists() else ()
        return {one.parent.name for one in owners if one.read_text("utf-8") == self._owner}

    def _remove_files(self, session_id: str) -> None:
        shutil.rmtree(self.directory(session_id), ignore_errors=True)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _note_end(runner: RayRunner, status: int | None) -> None:
    if status is None:
        runner.doubt(f"Ray has no actor for it on the node {runner.node} any more")
    else:
        runner.end(status, None)


class _Asked:
    """What a session asks for, and the room there was for it when last looked."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self.cores, self.memory = asked_of_ray(options)
        self.rooms: Any = None

    def __str__(self) -> str:
        asked = f"it asks for {_room(self.cores, self.memory)}"
        if self.rooms is None:
            return asked
        free, total = (_room(one["cores"], one["memory"]) for one in self.rooms)
        return f"{asked}, and free are {free} of {total}"


def _room(cores: float, memory: int) -> str:
    text = f"{cores:g} {'core' if cores == 1 else 'cores'}"
    return f"{text} and {spoken(memory)}" if memory else text
