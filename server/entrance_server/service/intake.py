"""Takes in what a run reports: its lines, progress, resources and result sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from entrance.engine.v1 import engine_pb2 as pb
from entrance_server.logs import LogStore
from entrance_server.results import ResultFiles, ResultRejected
from entrance_server.service import events
from entrance_server.service.durable import durably
from entrance_server.service.job_log import END_SEQ, JobLog
from entrance_server.service.jobs import Jobs
from entrance_server.service.runs import ActiveRun
from entrance_server.store.port import Store

ALL_RESULTS = 2**31 - 1


class Intake:
    """Makes the events of runs durable and shows them."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        store: Store,
        logs: LogStore,
        results: ResultFiles,
        job_log: JobLog,
        max_result_bytes: int,
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._logs = logs
        self._results = results
        self._job_log = job_log
        self._max_result_bytes = max_result_bytes

    async def durable_seq(self, run: ActiveRun) -> int:
        """The number up to which the lines of a run are in its log."""
        attempt, seq = await self._logs.mark(run.live.job.task_id)
        return seq if attempt == run.attempt else 0

    async def has_end(self, run: ActiveRun) -> bool:
        """Whether the line that ends a try without a word of its runner is in the log."""
        return await self.durable_seq(run) == END_SEQ

    async def take(self, run: ActiveRun, batch: Sequence[pb.Event], *, after: int) -> None:
        """Takes a batch in its order: what follows a result is written after the result.

        Args:
            run: The run that the events are of.
            batch: The events.
            after: Lines of events up to this number are in the log already.
        """
        live, lines = run.live, events.LineBuffer()
        for event in batch:
            match event.WhichOneof("kind"):
                case "log" if event.seq > after:
                    lines.add(event)
                case "progress":
                    live.advance(event.progress.progress, events.progress_info(event.progress))
                case "resource":
                    live.measure(events.resources(event.resource))
                case "result":
                    await self._flush(run, lines)
                    await self._add_result(run, event)
        await self._flush(run, lines)

    async def _flush(self, run: ActiveRun, lines: events.LineBuffer) -> None:
        text, count, seq = lines.take()
        task_id = run.live.job.task_id
        if count:
            await durably(
                lambda: self._job_log.output(task_id, text, count, attempt=run.attempt, seq=seq)
            )

    async def _add_result(self, run: ActiveRun, event: pb.Event) -> None:
        live = run.live
        task_id = live.job.task_id
        staged = self._results.staging(run.run_id)
        declared = events.result_set(event.result)
        others = {**await self._result_sizes(run), declared.index: 0}
        room = self._max_result_bytes - sum(others.values())
        try:
            adopted = await durably(
                lambda: self._results.adopt(task_id, run.attempt, staged, declared, max_bytes=room)
            )
        except ResultRejected as error:
            text = f"Result {declared.index} was not kept: {error}"
            await durably(lambda: self._job_log.line(live.job, "ERROR", text))
            return
        self._jobs.publish(live, await durably(lambda: self._store.add_result(task_id, adopted)))
        run.result_sizes = {**others, adopted.index: adopted.size_bytes}

    async def _result_sizes(self, run: ActiveRun) -> Mapping[int, int]:
        """The bytes of the run's result sets by their index."""
        if run.result_sizes is None:
            task_id = run.live.job.task_id
            found = await durably(lambda: self._store.list_results(task_id, limit=ALL_RESULTS))
            run.result_sizes = {one.index: one.size_bytes for one in found}
        return run.result_sizes
