"""Kill, pause and resume."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from entrance_server.domain import errors
from entrance_server.domain.job import Job, Principal
from entrance_server.domain.status import JobStatus
from entrance_server.service.background import Background
from entrance_server.service.dispatch import Dispatcher
from entrance_server.service.jobs import Jobs, ended
from entrance_server.service.live import LiveJob
from entrance_server.service.runs import Stop, killed
from entrance_server.service.steering import Steering
from entrance_server.service.views import KillOutcome
from entrance_server.store.port import StoreUnavailable

MAX_KILLED = 1_000  # jobs of one call


class ControlService:
    """Changes the course of jobs."""

    def __init__(
        self, *, jobs: Jobs, steering: Steering, dispatcher: Dispatcher, background: Background
    ) -> None:
        self._jobs = jobs
        self._steering = steering
        self._dispatcher = dispatcher
        self._background = background

    async def kill(self, principal: Principal, id: str, *, task_id: int = 0) -> Job:
        """Ends a job and all its processes; returns when it has ended.

        Raises:
            InvalidRequest, NotFound, PermissionDenied: as Jobs.find.
            WrongState: it has ended already.
        """
        job = await self._jobs.find(principal, id, task_id=task_id)
        live = self._live(job)
        await self._background.finish(self._end(live, killed(principal.user)))
        if live.job.status is not JobStatus.CANCELLED:
            raise ended(live.job)
        return live.job

    async def kill_jobs(
        self, principal: Principal, ids: Sequence[str], task_ids: Sequence[int]
    ) -> list[KillOutcome]:
        """Kills several jobs at once, each with an outcome of its own.

        Raises:
            InvalidRequest: the lists differ in length, or are too long; nothing is killed.
        """
        if len(ids) != len(task_ids):
            raise errors.InvalidRequest(
                f"idList has {len(ids)} entries, taskIDList {len(task_ids)}; send as many of both.",
                reason="UNEQUAL_LISTS",
                violations=[errors.FieldViolation("taskIDList", "must be as long as idList")],
            )
        if len(ids) > MAX_KILLED:
            raise errors.InvalidRequest(
                f"idList has {len(ids)} entries; send at most {MAX_KILLED} in one call.",
                reason="TOO_MANY_IDS",
                violations=[
                    errors.FieldViolation("idList", f"must have at most {MAX_KILLED} entries")
                ],
            )
        pairs = zip(ids, task_ids, strict=True)
        return list(await asyncio.gather(*(self._kill_one(principal, *pair) for pair in pairs)))

    async def pause(self, principal: Principal, id: str) -> Job:
        """Holds a queued job, freezes a running one. A paused job stays as it is.

        Raises:
            InvalidRequest, NotFound, PermissionDenied: as Jobs.find.
            WrongState: it has ended already.
            Unavailable: the engine does not answer.
        """
        return await self._set_paused(principal, id, True)

    async def resume(self, principal: Principal, id: str) -> Job:
        """Undoes `pause`, with the same errors."""
        return await self._set_paused(principal, id, False)

    async def _set_paused(self, principal: Principal, id: str, paused: bool) -> Job:
        job = await self._jobs.find(principal, id)
        live = self._live(job)
        await self._background.finish(self._hold(live, paused))
        return live.job

    async def _end(self, live: LiveJob, stop: Stop) -> None:
        await self._steering.stop(live, stop)
        self._dispatcher.dequeue(live.job)

    async def _hold(self, live: LiveJob, paused: bool) -> None:
        self._dispatcher.hold(live.job, True)  # so that it does not start while its flag is written
        try:
            await self._steering.set_paused(live, paused)
        finally:
            self._dispatcher.hold(live.job, live.job.paused)

    async def _kill_one(self, principal: Principal, id: str, task_id: int) -> KillOutcome:
        job: Job | None = None
        try:
            job = await self._jobs.find(principal, id, task_id=task_id)
            job = await self.kill(principal, str(job.task_id))
        except errors.EntranceError as error:
            return KillOutcome(id, job, error)
        except StoreUnavailable:
            return KillOutcome(
                id, job, errors.Unavailable("The store does not answer; try again later.")
            )
        return KillOutcome(id, job, None)

    def _live(self, job: Job) -> LiveJob:
        live = self._jobs.live(job)
        if live.job.status.is_final:
            raise ended(live.job)
        return live
