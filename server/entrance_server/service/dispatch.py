"""Starts jobs as their turns come, and owns the tasks that run them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import structlog

from entrance_server.domain.job import GroupKey, Job
from entrance_server.domain.status import JobStatus
from entrance_server.engines.session import EngineSession
from entrance_server.scheduling import Scheduler
from entrance_server.service.execution import Executor
from entrance_server.service.live import LiveJob, LiveJobs
from entrance_server.service.timeouts import Timeouts
from entrance_server.store.port import GroupFull

OPENING_INTERVAL = 1.0  # seconds

log = structlog.get_logger(__name__)


class Dispatcher:
    """Joins the scheduler to the executor, retries and time limits. An async context manager.

    Leaving it stops the tasks, not the runs: these go on in their runners for the next server.
    Where servers share the groups, closed ones are opened now and then, should no notice come.
    """

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        executor: Executor,
        timeouts: Timeouts,
        live: LiveJobs,
        shares_groups: bool = False,
    ) -> None:
        self._shares_groups = shares_groups
        self._scheduler = scheduler
        self._executor = executor
        self._timeouts = timeouts
        self._live = live
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Dispatcher:
        self._spawn("dispatch", self._dispatch())
        if self._shares_groups:
            self._spawn("opening of groups", self._open_in_time())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def accept(self, live: LiveJob, *, reserved: bool = False) -> None:
        """Takes a job that waits: for its turn, or until its retry is due."""
        self._watch(live)
        if live.job.status is JobStatus.WAIT_FOR_RETRY:
            self._spawn(f"retry of job {live.job.task_id}", self._retry(live))
        else:
            self._enqueue(live, reserved=reserved)

    def _enqueue(self, live: LiveJob, *, reserved: bool = False) -> None:
        job = live.job
        self._scheduler.add(
            job.task_id,
            job.spec.group,
            priority=job.spec.priority,
            held=job.paused,
            reserved=reserved,
            has_place=job.status is JobStatus.SCHEDULED,
        )
        self._wake.set()

    def resume_run(self, live: LiveJob, session: EngineSession) -> None:
        """Goes on with a job whose run an earlier server began."""
        self._watch(live)
        self._scheduler.run(live.job.task_id, live.job.spec.group)
        self._run(live, session)

    def dequeue(self, job: Job) -> None:
        """Takes a job out of its queue, if it still waits there."""
        self._scheduler.remove(job.task_id)
        self._wake.set()

    def hold(self, job: Job, held: bool) -> None:
        """Keeps a waiting job from starting, or lets it."""
        if held:
            self._scheduler.hold(job.task_id)
        else:
            self._scheduler.release(job.task_id)
            self._wake.set()

    def open(self, group: GroupKey | None = None) -> None:
        """Tries again to start jobs of a group of which enough ran on all servers, or of all."""
        self._scheduler.open(group)
        self._wake.set()

    async def _open_in_time(self) -> None:
        while True:
            await asyncio.sleep(OPENING_INTERVAL)
            self.open()

    async def _dispatch(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (task_id := self._scheduler.take()) is not None:
                live = self._live.get(task_id)
                if live is None:
                    self._scheduler.done(task_id)
                else:
                    self._run(live, None)

    def _run(self, live: LiveJob, session: EngineSession | None) -> None:
        self._spawn(f"job {live.job.task_id}", self._execute(live, session))

    async def _execute(self, live: LiveJob, session: EngineSession | None) -> None:
        try:
            await self._executor.execute(live, session=session)
        except GroupFull:
            if not live.job.status.is_final:
                self._scheduler.put_back(live.job.task_id, held=live.job.paused)
            return
        finally:
            self._scheduler.done(live.job.task_id)
            self._wake.set()
        if live.job.status is JobStatus.WAIT_FOR_RETRY:
            await self._retry(live)

    async def _retry(self, live: LiveJob) -> None:
        """Puts a job into its queue when its next try is due, unless it ends before."""
        while live.job.status is JobStatus.WAIT_FOR_RETRY:
            seen = live.job_changes.revision
            if await live.unchanged_until(live.job.retry_time, since=seen):
                self._enqueue(live)
                return

    def _watch(self, live: LiveJob) -> None:
        if self._timeouts.concern(live):
            self._spawn(f"limits of job {live.job.task_id}", self._limit(live))

    async def _limit(self, live: LiveJob) -> None:
        await self._timeouts.enforce(live)
        self.dequeue(live.job)

    def _spawn(self, name: str, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._collect)

    def _collect(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a task failed", task=task.get_name(), exc_info=error)
