"""One run: its code, what it prints, what it uses, and how it is paused and ended."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Sequence

import psutil

from entrance_runner import lines, wire
from entrance_runner.engine import Application, Level, Progress, RunRequest, Session
from entrance_runner.errors import ErrorCode, RunFailed
from entrance_runner.events import EventBuffer
from entrance_runner.handover import NotHandedOver, hand_over
from entrance_runner.isolation import Confinement
from entrance_runner.output import OutputPipe
from entrance_runner.processes import KILL_TIMEOUT, Processes
from entrance_runner.resources import ResourceMeter
from entrance_runner.results import ResultFile

log = logging.getLogger(__name__)

BEGIN_TIMEOUT = 5.0  # seconds that a pause waits for the code to begin
FIRST_MEASURE = 0.25  # seconds, so that a short run has one
MEASURE_INTERVAL = 1.0  # seconds
KILL_INTERVAL = 0.1  # seconds


class Run:
    """A run of a session; `execute` is its life, the other methods act on it meanwhile.

    It is what its session reports to.

    Attributes:
        left_code: Whether its code may go on although it has ended, so that no run can follow.
    """

    def __init__(
        self,
        request: RunRequest,
        session: Session,
        output: OutputPipe,
        processes: Processes,
        confinement: Confinement,
    ) -> None:
        self.request = request
        self.events = EventBuffer()
        self.paused = False
        self.left_code = False
        self._session = session
        self._output = output
        self._processes = processes
        self._confinement = confinement
        self._results = request.result_directory
        self._progress = Progress(0.0)
        self._applications: Sequence[Application] = ()
        self._ended_by: RunFailed | None = None
        self._begun = asyncio.Event()
        self._over = asyncio.Event()
        self._control = asyncio.Lock()
        self._ending = asyncio.Lock()
        self._code: asyncio.Task[RunFailed | None] | None = None

    async def execute(self) -> None:
        """Runs the code to its end, ends what it left behind, and tells how it went."""
        try:
            failure = await self._execute()
        except Exception as error:
            failure = self._internal(error)
        self._end_control()
        async with self._ending:  # or it would go on among the next run's processes
            await self._tell_end(failure)

    async def interrupt(self, grace: float) -> None:
        """Ends the run: asks the code to end, then kills every process that is left."""
        await self._end(grace, RunFailed(ErrorCode.CANCELLED, "the run was interrupted"))

    async def close(self) -> None:
        """Ends the run at once, since its session ends."""
        await self._end(0, RunFailed(ErrorCode.SESSION_CLOSED, "the session was closed"))

    async def pause(self) -> None:
        """Holds the run where its engine can, and else freezes every process.

        A run that is ending is left alone.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._begun.wait(), BEGIN_TIMEOUT)
        async with self._control:
            if not (self.paused or self._ended_by or self._over.is_set()):
                self.paused = True
                if not await self._session.hold():
                    await self._processes.freeze()

    async def resume(self) -> None:
        """Lets a paused run go on."""
        async with self._control:
            if self.paused:
                self.paused = False
                try:
                    await self._session.go_on()
                finally:
                    self._processes.thaw()

    def begun(self) -> None:
        """Notes that the code runs, and can be frozen and interrupted."""
        self._begun.set()

    def progress(self, progress: Progress) -> None:
        """Tells how far the run is."""
        self._progress = progress
        self.events.progress(wire.progress_event(progress))

    def applications(self, applications: Sequence[Application]) -> None:
        """Tells what the run uses on a cluster."""
        self._applications = applications

    async def result(self, result: ResultFile) -> None:
        """Takes a complete result set over, and tells of it."""
        if self._results != self.request.result_directory:
            await asyncio.to_thread(self._hand_over, result.file_name)
        await self.events.result(wire.result_event(result))

    async def message(self, level: Level, text: str) -> None:
        """Adds a line of the runner's own to the log."""
        await self.events.log(lines.message(level, text).encode())

    async def _execute(self) -> RunFailed | None:
        before = await self._processes.survey()
        async with asyncio.TaskGroup() as tasks:
            pump = tasks.create_task(self._output.pump(self.events.log))
            meter = tasks.create_task(self._measure(before))
            self._code = tasks.create_task(self._run_code())
            failure = await self._code
            await self._clean_up(before)
            self._output.end()
            await pump
            meter.cancel()
        return failure

    async def _run_code(self) -> RunFailed | None:
        request = self.request
        try:
            async with self._confinement.results(
                request.run_id, request.result_directory
            ) as self._results:
                request = dataclasses.replace(request, result_directory=self._results)
                await self._session.run(request, self)
        except RunFailed as failure:
            return failure
        except asyncio.CancelledError:
            self.left_code = True
            return RunFailed(ErrorCode.ENGINE_DIED, "the engine did not notice that it was killed")
        except Exception as error:
            return self._internal(error)
        return None

    def _hand_over(self, name: str) -> None:
        try:
            hand_over(name, self._results, self.request.result_directory)
        except NotHandedOver as refusal:  # told all the same: the server finds no file, and says so
            log.warning("run %s: a result is refused: %s", self.request.run_id, refusal)

    async def _end(self, grace: float, reason: RunFailed) -> None:
        if self._ended_by or self._over.is_set():
            return
        self._ended_by = reason
        try:
            async with asyncio.timeout(grace):
                await self._begun.wait()
                await self._interrupt_code()
                await self.resume()
                await self._over.wait()
        except TimeoutError:
            await self._kill()
        except Exception:
            log.exception("the interrupt of run %s failed", self.request.run_id)
            await self._kill()

    async def _interrupt_code(self) -> None:
        async with self._ending:
            if not self._over.is_set():
                await self._session.interrupt()

    async def _kill(self) -> None:
        """Kills until the code is over, since a process may just be starting."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KILL_TIMEOUT):
                while not self._over.is_set():
                    await self._kill_processes()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._over.wait(), KILL_INTERVAL)
                return
        if self._code:
            self._code.cancel()

    async def _kill_processes(self) -> None:
        async with self._ending:
            if not self._over.is_set():
                await self._processes.kill()

    async def _clean_up(self, before: set[psutil.Process]) -> None:
        self._end_control()
        await self._processes.kill(keep=before)  # first, or what is paused would go on until then
        with contextlib.suppress(RunFailed):  # the engine has died, as the code's own failure tells
            await self.resume()

    def _end_control(self) -> None:
        self._over.set()
        self._begun.set()

    async def _measure(self, before: set[psutil.Process]) -> None:
        meter = ResourceMeter(self._processes, before)
        await asyncio.sleep(FIRST_MEASURE)
        while True:
            used = await asyncio.to_thread(meter.measure)
            self.events.resource(wire.resource_event(used, self._applications))
            await asyncio.sleep(MEASURE_INTERVAL)

    async def _tell_end(self, failure: RunFailed | None) -> None:
        failure = self._ended_by or failure
        if failure and failure.code is not ErrorCode.CANCELLED:
            await self.message(Level.ERROR, failure.message)
        elif not failure and self._progress.fraction < 1:
            self.progress(Progress(1.0, self._progress.parts))
        usable = self._session.usable and not self.left_code
        self.events.end(wire.end_event(failure, session_usable=usable))

    def _internal(self, error: Exception) -> RunFailed:
        self.left_code = True
        log.error("run %s failed in the runner", self.request.run_id, exc_info=error)
        return RunFailed(ErrorCode.INTERNAL, f"the runner failed: {error!r}")
