"""Where jobs are: here, with another server, or for a moment with none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

import grpc

from entrance_server.domain.errors import EntranceError, JobMoved, Unavailable
from entrance_server.domain.instances import Instance, Owner
from entrance_server.rpc import caller, errors
from entrance_server.rpc.naming import Names
from entrance_server.service.job_log import utc_now

PATIENCE: Final = 30.0  # seconds that a job may be without a server that acts for it
PAUSES: Final = (0.05, 0.5)  # seconds: the first and the longest between two looks for it
AFTER_END: Final = timedelta(seconds=10)  # in which a last line may still be written


class Owners(Protocol):
    """Which servers there are and act for what: a part of `store.port.Members`."""

    async def owners_of(self, task_ids: Collection[int]) -> Mapping[int, Owner]: ...

    async def live_instances(self) -> Sequence[Instance]: ...


class PeerLost(JobMoved):
    """A server went away with a call under way, which may have acted."""


class WrongServer(JobMoved):
    """Another server handed the call on to one that has not the job; it has to look again."""


class Places:
    """Finds the servers of jobs. `is_here` tells of those that this server acts for.

    A job that has ended is its server's for a moment more; then every server can answer for it.
    """

    def __init__(
        self,
        *,
        instance: str,
        owners: Owners,
        is_here: Callable[[int], bool],
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._instance = instance
        self._owners = owners
        self._is_here = is_here
        self._clock = clock

    async def of(self, named: Names) -> Owner | None:
        """The server that a call goes on to; None is this one.

        Raises:
            JobMoved: it is with none now, or with one that another server should have asked.
        """
        found = (await self.of_all([named]))[0]
        if isinstance(found, JobMoved):
            raise found
        return found

    async def of_all(self, named: Sequence[Names]) -> list[Owner | JobMoved | None]:
        """The same for several jobs, with the error in the place of a server."""
        unknown = {one for names in named if not self._has_any(names) for one in names}
        owners = await self._owners.owners_of(unknown) if unknown else {}
        return [None if self._has_any(names) else self._place(names, owners) for names in named]

    def _has_any(self, names: Names) -> bool:
        return any(map(self._is_here, names))

    def _place(self, names: Names, owners: Mapping[int, Owner]) -> Owner | JobMoved | None:
        owner = next((owners[one] for one in names if one in owners), None)
        if owner is None or self._ended_long_ago(owner):
            return None
        is_mine = owner.name == self._instance
        # what comes from another server stays here or goes back, so that nothing goes in circles
        if owner.is_alive and not is_mine and not caller.credentials().via:
            return owner
        if owner.end_time is not None:
            return None
        if is_mine:
            return JobMoved("The job is about to go on with this server; try again.")
        if owner.is_alive:
            return WrongServer(f"The job is with another server, {owner.name}; try again.")
        return JobMoved(
            f"The job's server, {owner.name}, is gone, and another one is about to take it over; "
            "try again."
        )

    def _ended_long_ago(self, owner: Owner) -> bool:
        return owner.end_time is not None and self._clock() >= owner.end_time + AFTER_END


class Patience:
    """How long to look for a job's server, with pauses that grow."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begins anew, since the job had a server meanwhile."""
        self._until = time.monotonic() + PATIENCE
        self._pause = PAUSES[0]

    async def after(self, moved: JobMoved) -> None:
        """Pauses.

        Raises:
            JobMoved: `moved`, when it took too long, or to look again is another server's part.
        """
        if isinstance(moved, WrongServer) or time.monotonic() >= self._until:
            raise moved
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, PAUSES[1])


def doubted(error: EntranceError, lost: PeerLost | None) -> EntranceError:
    """What to tell when a server was lost, and the next one refuses the same act.

    It may refuse it since the first one did it, as a kill finds a job ended.
    """
    if lost is None or errors.code_of(error) is not grpc.StatusCode.FAILED_PRECONDITION:
        return error
    return Unavailable(
        f"A server went away while it was to do that, and now: {error.message} Look at the job.",
        reason="OUTCOME_UNKNOWN",
    )
