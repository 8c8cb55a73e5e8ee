"""Faults on real programs, drawn from a seed, each undone after its time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import subprocess
import time
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from random import Random
from typing import Any

import psutil

from tests.system.campaign.history import Fault, History, Skipped
from tests.system.campaign.installation import Installation
from tests.system.campaign.programs import Program
from tests.system.campaign.proxy import Proxy

BREATH = 8.0  # seconds at most after a fault that stops the service, until the next one
IMPATIENT = 0.2  # share of the faults that wait for nothing
WEIGHTS = {
    "cut connections": 44,
    "hold up connections": 5,
    "kill engine": 20,
    "kill runner": 8,
    "kill server": 5,
    "kill gateway": 4,
    "kill everything": 2,
    "stop server": 4,
    "stop gateway": 4,
    "stop runner": 8,
    "store locked": 6,
    "disk full": 3,
    "read-only directory": 3,
    "set clock": 3,
}
WHERE_OTHERS_TAKE_OVER = {"kill server": 25}
STOPS_SERVICE = frozenset(
    {"kill server", "kill gateway", "kill everything", "stop server", "stop gateway"}
)
LEAPS = (-48 * 3600.0, -3600.0, -20.0, 20.0, 3600.0, 48 * 3600.0, 365 * 24 * 3600.0)  # seconds
FILLING = 1024 * 1024  # bytes


class Impossible(Exception):
    """The fault can't be made here; the message says why."""


class Injector:
    """Makes faults until it is cancelled; whatever it did is undone then.

    `kinds` are those to make, of WEIGHTS; none means all.
    """

    def __init__(
        self,
        installation: Installation,
        history: History,
        random: Random,
        *,
        per_second: float,
        kinds: Collection[str] = (),
    ) -> None:
        self._installation = installation
        self._history = history
        self._random = random
        self._per_second = per_second
        self._stops = 0  # faults that stop the service, and have not been got over
        self._disk = asyncio.Lock()  # one at a time, so that each undoes its own work
        self._clock = asyncio.Lock()
        weights = WEIGHTS | ({} if installation.is_one_server else WHERE_OTHERS_TAKE_OVER)
        self._weights = {kind: weights[kind] for kind in kinds or weights}
        self._faults: Mapping[str, Callable[[], Coroutine[Any, Any, Sequence[str]]]] = {
            "cut connections": self._cut,
            "hold up connections": self._hold_up,
            "kill engine": self._kill_engine,
            "kill runner": self._kill_runner,
            "kill server": lambda: self._kill(random.choice(installation.servers)),
            "kill gateway": lambda: self._kill(random.choice(installation.gateways)),
            "kill everything": self._kill_everything,
            "stop server": lambda: self._freeze(random.choice(installation.servers)),
            "stop gateway": lambda: self._freeze(random.choice(installation.gateways)),
            "stop runner": self._freeze_runner,
            "store locked": self._lock_store,
            "disk full": self._fill_disk,
            "read-only directory": self._read_only,
            "set clock": self._set_clock,
        }

    async def run(self, until: float) -> None:
        """Makes faults until a moment of the loop's clock, then waits for the last to be undone."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            while loop.time() < until:
                await asyncio.sleep(self._random.expovariate(self._per_second))
                kind = self._draw()
                tasks.create_task(self._one(kind))

    def _draw(self) -> str:
        """The next kind. Without a breath now and then there would be no service to look at."""
        impatient = self._random.random() < IMPATIENT
        resting: frozenset[str] = frozenset() if impatient or not self._stops else STOPS_SERVICE
        kinds = self._weights.keys() - resting or self._weights.keys()
        weights = {kind: weight for kind, weight in self._weights.items() if kind in kinds}
        return self._random.choices(list(weights), weights=list(weights.values()))[0]

    async def _one(self, kind: str) -> None:
        start = time.time()
        self._stops += kind in STOPS_SERVICE
        try:
            sessions = await self._faults[kind]()
            if kind in STOPS_SERVICE:
                await self._installation.whole()
        except Impossible as error:
            self._history.add(Skipped(kind, str(error)))
        else:
            self._history.add(Fault(kind, start, time.time(), sessions))
            if kind in STOPS_SERVICE:
                await asyncio.sleep(self._random.uniform(0, BREATH))
        finally:
            self._stops -= kind in STOPS_SERVICE

    async def _cut(self) -> Sequence[str]:
        if not self._proxy().cut(self._random, self._random.choice((0.2, 0.5, 1.0))):
            raise Impossible("there was no connection")
        return ()

    async def _hold_up(self) -> Sequence[str]:
        with self._proxy().held_up():
            await self._a_while()
        return ()

    async def _kill(self, program: Program) -> Sequence[str]:
        if not self._installation.kill(program):
            raise Impossible("it did not run")
        return ()

    async def _kill_runner(self) -> Sequence[str]:
        session, processes = await self._victim()
        with _still_there():
            self._random.choice(processes).kill()
        return (session,)

    async def _kill_engine(self) -> Sequence[str]:
        session, processes = await self._victim()
        with _still_there():
            children = _host(processes).children(recursive=True)
            if not children:
                raise Impossible("the runner had no child")
            self._random.choice(children).kill()
        return (session,)

    async def _kill_everything(self) -> Sequence[str]:
        runners = await asyncio.to_thread(self._installation.runners)
        for program in self._installation.programs:
            self._installation.kill(program)
        for process in itertools.chain(*runners.values()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return tuple(runners)

    async def _freeze(self, program: Program) -> Sequence[str]:
        async with self._frozen(program.daemon.pid):
            await self._a_while()
        return ()

    async def _freeze_runner(self) -> Sequence[str]:
        _, processes = await self._victim()
        async with self._frozen(_host(processes).pid):
            # now and then longer than the server waits for a runner's answer
            await self._a_while(longest=12.0)
        return ()

    async def _lock_store(self) -> Sequence[str]:
        if not self._installation.is_one_server:
            raise Impossible("the store is no file")
        path = self._installation.data_dir / "entrance.db"
        # sometimes longer than the service's own patience with a lock
        seconds = self._random.choice((0.3, 1.0, 2.0, 6.0))
        await asyncio.to_thread(_hold_lock, str(path), seconds)
        return ()

    async def _fill_disk(self) -> Sequence[str]:
        if not self._installation.own_disk:
            raise Impossible("a disk of its own needs root and mount")
        async with self._disk:
            filler = self._installation.data_dir / "filler"
            try:
                await asyncio.to_thread(_fill, str(filler))
                await self._a_while()
            finally:
                filler.unlink(missing_ok=True)
        return ()

    async def _read_only(self) -> Sequence[str]:
        if not self._installation.own_disk:
            raise Impossible("a read-only mount needs root and mount")
        server = self._random.choice(self._installation.servers)
        places = (self._installation.files_dir / "jobs", server.data_dir / "sessions")
        directory = str(self._random.choice(places))
        async with self._disk:
            await _run("mount", "--bind", directory, directory)
            try:
                await _run("mount", "-o", "remount,bind,ro", directory)
                await self._a_while()
            finally:
                await _run("umount", "--lazy", directory)
        return ()

    async def _set_clock(self) -> Sequence[str]:
        clock = self._installation.clock
        if not clock.works:
            raise Impossible("a program's clock can't be set here")
        async with self._clock:
            try:
                clock.set(self._random.choice(LEAPS))
                # read again each second by the programs
                await self._a_while(longest=10.0)
            finally:
                clock.set(0)
        return ()

    async def _victim(self) -> tuple[str, list[psutil.Process]]:
        runners = await asyncio.to_thread(self._installation.runners)
        if not runners:
            raise Impossible("there was no runner")
        return self._random.choice(sorted(runners.items(), key=lambda item: item[0]))

    @contextlib.asynccontextmanager
    async def _frozen(self, pid: int) -> AsyncIterator[None]:
        with _still_there():
            psutil.Process(pid).suspend()
        try:
            yield
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(pid).resume()

    async def _a_while(self, *, longest: float = 3.0) -> None:
        await asyncio.sleep(self._random.choice((0.2, 0.5, 1.0, 2.0, longest)))

    def _proxy(self) -> Proxy:
        return self._random.choice(self._installation.proxies)


@contextlib.contextmanager
def _still_there() -> Iterator[None]:
    try:
        yield
    except psutil.NoSuchProcess:
        raise Impossible("it ended by itself just then") from None


def _host(processes: Sequence[psutil.Process]) -> psutil.Process:
    """The one of a runner's processes that hosts its session; before it is all that there is."""
    return processes[min(1, len(processes) - 1)]


def _hold_lock(path: str, seconds: float) -> None:
    with contextlib.closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as store:
        try:
            store.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise Impossible(str(error)) from None
        time.sleep(seconds)
        store.execute("ROLLBACK")


def _fill(path: str) -> None:
    """Fills the disk to its last byte."""
    size = FILLING
    with open(path, "wb", buffering=0) as filler:
        while size:
            try:
                filler.write(b"\0" * size)
            except OSError:
                size //= 2


async def _run(*command: str) -> None:
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    if done.returncode:
        raise Impossible(done.stderr.decode(errors="replace").strip())
