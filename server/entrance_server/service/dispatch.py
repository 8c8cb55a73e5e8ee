"""Starts jobs as their turns come, and owns the tasks that run them."""

from __future__ import annotations

import asyncio

from entrance_server.domain.job import Job
from entrance_server.engines.session import EngineSession
from entrance_server.scheduling import Scheduler
from entrance_server.service.execution import Executor
from entrance_server.service.live import LiveJob, LiveJobs


class Dispatcher:
    """Joins the scheduler to the executor. An async context manager.

    Leaving it stops the tasks, not the runs: these go on in their runners for the next server.
    """

    def __init__(self, *, scheduler: Scheduler, executor: Executor, live: LiveJobs) -> None:
        self._scheduler = scheduler
        self._executor = executor
        self._live = live
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Dispatcher:
        self._loop = asyncio.create_task(self._dispatch())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        tasks = [*self._tasks, *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def enqueue(self, live: LiveJob, *, reserved: bool = False) -> None:
        """Puts a job into its group's queue."""
        job = live.job
        self._scheduler.add(
            job.task_id,
            job.spec.group,
            priority=job.spec.priority,
            held=job.paused,
            reserved=reserved,
        )
        self._wake.set()

    def resume_run(self, live: LiveJob, session: EngineSession) -> None:
        """Goes on with a job whose run an earlier server began."""
        self._scheduler.run(live.job.task_id, live.job.spec.group)
        self._spawn(live, session)

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

    async def _dispatch(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (task_id := self._scheduler.take()) is not None:
                live = self._live.get(task_id)
                if live is None:
                    self._scheduler.done(task_id)
                else:
                    self._spawn(live, None)

    def _spawn(self, live: LiveJob, session: EngineSession | None) -> None:
        task = asyncio.create_task(self._run(live, session), name=f"job {live.job.task_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, live: LiveJob, session: EngineSession | None) -> None:
        try:
            await self._executor.execute(live, session=session)
        finally:
            self._scheduler.done(live.job.task_id)
            self._wake.set()
