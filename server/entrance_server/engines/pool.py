"""The sessions of this server: taken by a job, given back, closed when idle for long."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog

from entrance_server.changes import Changes
from entrance_server.domain.job import SessionRecord
from entrance_server.engines.companions import Companions
from entrance_server.engines.connections import Connections
from entrance_server.engines.failures import SessionLost, SessionRefused
from entrance_server.engines.runners import Launcher, Runner, Squeezed
from entrance_server.engines.session import EngineSession, SessionKey
from entrance_server.store.port import Store, StoreUnavailable
from entrance_server.tenure import Tenure

log = structlog.get_logger(__name__)

IDLE_CHECK = 10.0  # seconds between looks at idle sessions, for those that expired or died


async def _unheard(text: str) -> None:
    """For who has nobody to tell that a runner waits."""


class SessionPool:
    """Idle sessions by their key, and warm runners without one.

    An async context manager: it owns the tasks that refill, expire and visit. Leaving it closes
    what is idle and lets go of what is busy, so that runs outlive this server.
    """

    def __init__(
        self,
        *,
        launcher: Launcher,
        store: Store,
        owner: str,
        tenure: Tenure | None = None,
        connections: Connections,
        companions: Companions,
        max_sessions: int,
        warm_runners: int,
        idle_timeout: float,
        open_timeout: float,
        visit_interval: float,
    ) -> None:
        self._launcher = launcher
        self._store = store
        self._owner = owner
        self._tenure = tenure
        self._connections = connections
        self._companions = companions
        self._max_sessions = max_sessions
        self._warm_runners = warm_runners
        self._idle_timeout = idle_timeout
        self._open_timeout = open_timeout
        self._visit_interval = visit_interval
        self._idle: dict[EngineSession, float] = {}  # to the loop time of its expiry
        self._busy: set[EngineSession] = set()
        self._warm: list[EngineSession] = []
        self._refill = asyncio.Event()
        self._idle_changed = asyncio.Event()
        self._max_starting = 2 * (os.cpu_count() or 1)
        self._starting = 0
        self._freed = Changes()  # a session was given back, or one more may start
        self._closing = False
        self._tasks = asyncio.TaskGroup()
        self._keepers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> SessionPool:
        await self._tasks.__aenter__()
        self._keepers = [
            self._tasks.create_task(self._keep_warm()),
            self._tasks.create_task(self._expire()),
        ]
        self._visiting = self._tasks.create_task(self._visit())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._closing = True
        self._refill.set()
        self._idle_changed.set()
        self._visiting.cancel()
        await asyncio.wait(self._keepers)
        idle, self._idle = list(self._idle), {}
        warm, self._warm = self._warm, []
        for session in [*idle, *warm]:
            self._tasks.create_task(self._end_unwatched(session))
        for session in self._busy:
            await session.detach()
        await self._tasks.__aexit__(None, None, None)

    async def acquire(self, key: SessionKey, *, squeezed: Squeezed = _unheard) -> EngineSession:
        """An idle session with the key, the last used first, or a new one.

        Few engines start at once; who waits for that takes a session that comes free meanwhile.

        Args:
            key: What it must have.
            squeezed: Told when its runner has to wait for room.

        Raises:
            SessionRefused: the engine does not start; the message says why.
            SessionLost: the runner ended while it started.
        """
        while True:
            seen = self._freed.revision
            if (session := await self.take_idle(key)) is not None:
                return session
            if self._starting < self._max_starting:
                return await self._start(key, squeezed)
            await self._freed.beyond(seen)

    async def take_idle(self, key: SessionKey) -> EngineSession | None:
        """The idle session with the key that was used last; None where there is none."""
        while (session := self._take_idle(key)) is not None and not session.runner.is_alive():
            await self.discard(session)
        return session

    def _take_idle(self, key: SessionKey) -> EngineSession | None:
        session = next((one for one in reversed(self._idle) if one.key == key), None)
        if session is not None:
            del self._idle[session]
            self._busy.add(session)
        return session

    async def _start(self, key: SessionKey, squeezed: Squeezed) -> EngineSession:
        self._starting += 1
        try:
            self._end_beyond(self._max_sessions - 1)
            return await self._open(key, squeezed)
        finally:
            self._starting -= 1
            self._freed.bump()

    async def give_back(self, session: EngineSession) -> None:
        """Gives a session back whose run has ended well; one for a single job ends with it."""
        if session.key is not None and session.key.only_for is not None:
            await self.discard(session)
        else:
            self._release(session)

    def _release(self, session: EngineSession) -> None:
        self._busy.discard(session)
        if not self._idle:
            self._idle_changed.set()  # others are looked at in time
        self._idle[session] = asyncio.get_running_loop().time() + self._idle_timeout
        self._end_beyond(self._max_sessions)  # there are more once those of a lost server came
        self._freed.bump()

    async def discard(self, session: EngineSession) -> int | None:
        """Ends a session that can't be used again.

        Returns:
            The runner's exit status, negative for a signal; None where it is not known.
        """
        self._busy.discard(session)
        return await self._end(session)

    def adopt(self, session: EngineSession, *, busy: bool) -> None:
        """Takes over a session that an earlier server opened."""
        if busy:
            self._busy.add(session)
        else:
            self._release(session)

    def _all(self) -> Sequence[EngineSession]:
        return [*self._idle, *self._busy, *self._warm]

    async def _open(self, key: SessionKey, squeezed: Squeezed) -> EngineSession:
        async def make_room(text: str) -> None:
            self._end_oldest()
            await squeezed(text)

        try:
            session = (
                self._warm.pop(0) if self._warm else await self._launch(key.options, make_room)
            )
        except OSError as error:
            raise SessionRefused(f"its runner does not start: {error}") from None
        self._refill.set()
        self._busy.add(session)
        try:
            # durable before it is used, so that no restart loses sight of a process
            await self._store.put_session(self._record(session.runner, key))
            setup = await self._launcher.set_up(session.session_id, key.options)
            secrets = await asyncio.to_thread(
                self._connections.secrets, key.group.engine_type, key.group.user, key.options
            )
            shared = await self._companions.secrets(key.group.engine_type, key.options)
            await session.open(key, setup, {**secrets, **shared}, timeout=self._open_timeout)
        except BaseException:
            self._busy.discard(session)
            self._tasks.create_task(self._end_unwatched(session))
            raise
        return session

    def _record(self, runner: Runner, key: SessionKey) -> SessionRecord:
        return SessionRecord(
            session_id=runner.session_id,
            group=key.group,
            options=key.options,
            only_for=key.only_for,
            address=runner.address,
            pid=runner.pid,
            process_start=runner.process_start,
            create_time=datetime.now(UTC),
            owner=self._owner,
            host=runner.host,
            directory=runner.directory,
        )

    async def _launch(self, options: Mapping[str, str], squeezed: Squeezed) -> EngineSession:
        runner = await self._launcher.launch(options, squeezed)
        return EngineSession(runner, tenure=self._tenure)

    async def _end(self, session: EngineSession) -> int | None:
        await session.close()
        status = await self._launcher.reap(session.runner)
        try:
            await self._store.remove_session(session.session_id)
        except StoreUnavailable as error:
            # the record stays; the next start finds the process gone and removes it
            log.warning("session not forgotten", session=session.session_id, error=str(error))
        return status

    async def _end_unwatched(self, session: EngineSession) -> None:
        """As `_end`, where nobody waits for it: an error must not end pool and server."""
        try:
            await self._end(session)
        except Exception:
            log.exception("session not ended in order", session=session.session_id)

    def _end_beyond(self, most: int) -> None:
        """Ends idle sessions until there are no more, busy ones too, than that, if it can."""
        while self._idle and len(self._idle) + len(self._busy) > most:
            self._end_oldest()

    def _end_oldest(self) -> None:
        """Ends the session that is idle for longest, if there is one."""
        if self._idle:
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            self._tasks.create_task(self._end_unwatched(oldest))

    async def _keep_warm(self) -> None:
        while not self._closing:
            self._refill.clear()
            try:
                while len(self._warm) < self._warm_runners and not self._closing:
                    self._warm.append(await self._launch({}, _unheard))
            except OSError as error:
                log.warning("no warm runner", error=str(error))
            await self._refill.wait()

    async def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._closing:
            self._idle_changed.clear()
            for session in list(self._idle):
                deadline = self._idle.get(session)  # none if a job has taken it meanwhile
                if deadline and (deadline <= loop.time() or not session.runner.is_alive()):
                    del self._idle[session]
                    await self._end_unwatched(session)
            check = loop.time() + IDLE_CHECK if self._idle else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(check):
                    await self._idle_changed.wait()

    async def _visit(self) -> None:
        """Calls at every runner now and then, since one that no server calls for long ends."""
        while True:
            await asyncio.sleep(self._visit_interval)
            async with asyncio.TaskGroup() as visits:
                for session in self._all():
                    visits.create_task(_call_at(session))


async def _call_at(session: EngineSession) -> None:
    with contextlib.suppress(SessionLost, SessionRefused):  # whoever uses it will notice
        await session.describe()
