"""One run: its code, what it prints, what it uses, and how it is paused and ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import psutil

from entrance.engine.v1 import engine_pb2 as pb
from entrance.v1 import entrance_pb2
from entrance_runner import lines
from entrance_runner.engine import Level, Progress, RunRequest, Session
from entrance_runner.errors import ErrorCode, RunFailed
from entrance_runner.events import EventBuffer
from entrance_runner.output import OutputPipe
from entrance_runner.processes import KILL_TIMEOUT, Processes
from entrance_runner.resources import ResourceMeter
from entrance_runner.results import ResultFile

log = logging.getLogger(__name__)

FIRST_MEASURE = 0.25  # seconds, so that a short run has one
MEASURE_INTERVAL = 1.0  # seconds
KILL_INTERVAL = 0.1  # seconds


class Run:
    """A run of a session; `execute` is its life, the other methods act on it meanwhile."""

    def __init__(
        self, request: RunRequest, session: Session, output: OutputPipe, processes: Processes
    ) -> None:
        self.request = request
        self.events = EventBuffer()
        self.paused = False
        self._session = session
        self._output = output
        self._processes = processes
        self._progress = Progress(0.0)
        self._interrupted = False
        self._begun = asyncio.Event()
        self._over = asyncio.Event()
        self._control = asyncio.Lock()
        self._code: asyncio.Task[RunFailed | None] | None = None

    async def execute(self) -> None:
        """Runs the code to its end, ends what it left behind, and tells how it went."""
        before = await asyncio.to_thread(self._processes.living)
        self.progress(self._progress)
        async with asyncio.TaskGroup() as tasks:
            pump = tasks.create_task(self._output.pump(self.events.log))
            meter = tasks.create_task(self._measure())
            self._code = tasks.create_task(self._run_code())
            self._begun.set()
            failure = await self._code
            await self._clean_up(before)
            self._output.end()
            await pump
            meter.cancel()
        await self._tell_end(failure)

    async def interrupt(self, grace: float) -> None:
        """Ends the run: asks the code to end, then kills every process that is left."""
        if self._interrupted or self._over.is_set():
            return
        self._interrupted = True
        await self._begun.wait()
        try:
            async with asyncio.timeout(grace):
                await self._session.interrupt()
                await self.resume()
                await self._over.wait()
        except TimeoutError:
            await self._kill()
        except Exception:
            log.exception("the interrupt of run %s failed", self.request.run_id)
            await self._kill()

    async def pause(self) -> None:
        """Freezes every process; a run that is ending is left alone."""
        async with self._control:
            if not (self.paused or self._interrupted or self._over.is_set()):
                self.paused = True
                await self._processes.freeze()

    async def resume(self) -> None:
        """Lets a frozen run go on."""
        async with self._control:
            if self.paused:
                self.paused = False
                self._processes.thaw()

    def progress(self, progress: Progress) -> None:
        """Tells how far the run is."""
        self._progress = progress
        self.events.progress(
            pb.ProgressEvent(
                progress=progress.fraction,
                progress_info=[
                    entrance_pb2.ProgressInfo(
                        id=part.id,
                        succeed_tasks=part.succeeded,
                        failed_tasks=part.failed,
                        running_tasks=part.running,
                        total_tasks=part.total,
                    )
                    for part in progress.parts
                ],
            )
        )

    async def result(self, result: ResultFile) -> None:
        """Tells that a result set is complete."""
        await self.events.result(
            pb.ResultEvent(
                file_name=result.file_name,
                result_set=entrance_pb2.ResultSet(
                    index=result.index,
                    type=entrance_pb2.ResultType.Value(f"RESULT_TYPE_{result.kind}"),
                    media_type=result.media_type,
                    row_count=result.row_count,
                    size_bytes=result.size_bytes,
                    columns=[
                        entrance_pb2.Column(name=column.name, data_type=column.data_type)
                        for column in result.columns
                    ],
                    statement=result.statement,
                ),
            )
        )

    async def message(self, level: Level, text: str) -> None:
        """Adds a line of the runner's own to the log."""
        await self.events.log(lines.message(level, text).encode())

    async def _run_code(self) -> RunFailed | None:
        try:
            await self._session.run(self.request, self)
        except RunFailed as failure:
            return failure
        except asyncio.CancelledError:
            return RunFailed(ErrorCode.ENGINE_DIED, "the engine did not notice that it was killed")
        except Exception as error:
            log.exception("run %s failed in the runner", self.request.run_id)
            return RunFailed(ErrorCode.INTERNAL, f"the runner failed: {error!r}")
        return None

    async def _kill(self) -> None:
        """Kills until the code is over, since a process may just be starting."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KILL_TIMEOUT):
                while not self._over.is_set():
                    await self._processes.kill()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._over.wait(), KILL_INTERVAL)
                return
        if self._code:
            self._code.cancel()

    async def _clean_up(self, before: set[psutil.Process]) -> None:
        self._over.set()
        await self.resume()
        await self._processes.kill(keep=before)

    async def _measure(self) -> None:
        meter = await asyncio.to_thread(ResourceMeter, self._processes)
        await asyncio.sleep(FIRST_MEASURE)
        while True:
            used = await asyncio.to_thread(meter.measure)
            self.events.resource(
                pb.ResourceEvent(
                    memory_bytes=used.memory_bytes, cores=used.cores, processes=used.processes
                )
            )
            await asyncio.sleep(MEASURE_INTERVAL)

    async def _tell_end(self, failure: RunFailed | None) -> None:
        if self._interrupted:
            failure = RunFailed(ErrorCode.CANCELLED, "the run was interrupted")
            status = entrance_pb2.JOB_STATUS_CANCELLED
        elif failure:
            await self.message(Level.ERROR, failure.message)
            status = entrance_pb2.JOB_STATUS_FAILED
        else:
            if self._progress.fraction < 1:
                self.progress(Progress(1.0, self._progress.parts))
            status = entrance_pb2.JOB_STATUS_SUCCEED
        error = (
            entrance_pb2.JobError(code=failure.code, message=failure.message) if failure else None
        )
        self.events.end(
            pb.EndEvent(status=status, error=error, session_usable=self._session.usable)
        )
