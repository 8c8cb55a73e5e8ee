"""What operators ask of a server: how much it has to do, and to take new jobs or none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from entrance_server.domain.job import GroupKey, Job
from entrance_server.domain.status import JobStatus
from entrance_server.engines.registry import EngineRegistry
from entrance_server.scheduling import GroupLoad, Scheduler
from entrance_server.service.admission import Admission
from entrance_server.service.live import LiveJobs


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """How many jobs there are that have not ended: those whose code runs, and the others."""

    waiting: int
    running: int


class OperationService:
    """Answers operators; that the caller is one is checked before."""

    def __init__(
        self,
        *,
        live: LiveJobs,
        scheduler: Scheduler,
        admission: Admission,
        engines: EngineRegistry,
    ) -> None:
        self._live = live
        self._scheduler = scheduler
        self._admission = admission
        self._engines = engines

    def count(self, *, user: str = "", creator: str = "", engine_type: str = "") -> TaskCounts:
        """Counts the jobs that fit every filter that is not empty."""
        engine = self._engines.find_label(engine_type)
        wanted = GroupKey(user, creator, engine.engine_type if engine else engine_type)
        runs = [job.status is JobStatus.RUNNING for job in self._jobs() if _fits(job, wanted)]
        return TaskCounts(waiting=len(runs) - sum(runs), running=sum(runs))

    def groups(self) -> Mapping[GroupKey, GroupLoad]:
        """The groups that have jobs which wait or run."""
        loads = self._scheduler.loads()
        return {group: loads[group] for group in sorted(loads, key=str)}

    @property
    def is_online(self) -> bool:
        """Whether the server takes new jobs."""
        return self._admission.is_online

    async def set_online(self, online: bool) -> None:
        """Takes the server offline, where it finishes what it has, or back online.

        Raises:
            StoreUnavailable: nothing was changed.
        """
        await self._admission.set_online(online)

    def _jobs(self) -> Iterator[Job]:
        return (live.job for live in self._live if not live.job.status.is_final)


def _fits(job: Job, wanted: GroupKey) -> bool:
    group = job.spec.group
    return (
        wanted.user in ("", group.user)
        and wanted.creator in ("", group.creator)
        and wanted.engine_type in ("", group.engine_type)
    )
