"""Ends jobs that wait or run longer than they may."""

from __future__ import annotations

from collections.abc import Collection

from entrance_server.domain.run_policy import RunPolicies, time_limit
from entrance_server.domain.status import JobStatus
from entrance_server.service.background import Background
from entrance_server.service.durable import durably
from entrance_server.service.live import LiveJob
from entrance_server.service.runs import Stop, timed_out
from entrance_server.service.steering import BEFORE_RUN, Steering


class Timeouts:
    """Watches over the time limits of jobs."""

    def __init__(
        self, *, policies: RunPolicies, steering: Steering, background: Background
    ) -> None:
        self._policies = policies
        self._steering = steering
        self._background = background

    def concern(self, live: LiveJob) -> bool:
        """Whether a job has a time limit at all."""
        policy = self._policies.of(live.job.spec.labels)
        return bool(policy.running_timeout or policy.queuing_timeout)

    async def enforce(self, live: LiveJob) -> None:
        """Ends a job when a limit is over; returns when it has ended, in whatever way."""
        policy = self._policies.of(live.job.spec.labels)
        while not live.job.status.is_final:
            seen, status = live.job_changes.revision, live.job.status
            limit = time_limit(live.job, policy)
            end = None if limit is None else limit.end
            if await live.unchanged_until(end, since=seen) and limit:
                within = {status} if status is JobStatus.RUNNING else BEFORE_RUN
                await self._stop(live, timed_out(limit), within)

    async def _stop(self, live: LiveJob, stop: Stop, within: Collection[JobStatus]) -> None:
        # once begun it is finished, though the server stops: half of it looks like a lost engine
        await durably(
            lambda: self._background.finish(self._steering.stop(live, stop, within=within))
        )
