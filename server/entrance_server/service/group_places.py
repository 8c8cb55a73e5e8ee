"""Places of running jobs in their groups, which all servers of a store share."""

from __future__ import annotations

from entrance_server.domain.job import Job
from entrance_server.scheduling import Scheduler
from entrance_server.store.port import GroupFull, Store


class GroupPlaces:
    """Takes places in the store. A group without one is closed here until one is told to be free.

    So no server has more of a chance than another: this one hears of its own jobs' ends, too.
    """

    def __init__(self, *, store: Store, scheduler: Scheduler) -> None:
        self._store = store
        self._scheduler = scheduler

    async def take(self, job: Job, *, session_id: str | None = None) -> Job:
        """Makes a waiting job that the scheduler gave Scheduled, or Running in a session.

        Raises:
            GroupFull: as many jobs of its group run on all servers as may.
            TransitionRefused: it waits no more.
        """
        group = job.spec.group
        seen = self._scheduler.openings(group)
        try:
            at_most = self._scheduler.limits_of(group).running
            scheduled, is_room = await self._store.schedule(
                job, at_most=at_most, session_id=session_id
            )
        except GroupFull:
            self._scheduler.close(group, since=seen)
            raise
        if not is_room:
            self._scheduler.close(group, since=seen)
        return scheduled
