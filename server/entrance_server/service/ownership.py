"""Which server of an installation acts for a job."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Owner:
    """The server that acts for a job now.

    Attributes:
        instance: Its name.
        address: Where other servers reach it; "" for one that is gone.
        has_ended: Whether the job has ended, a moment ago: a last line may still come.
    """

    instance: str
    address: str
    has_ended: bool = False


class Owners(Protocol):
    """Who owns what, as the store has it.

    Every method raises StoreUnavailable when the store does not answer.
    """

    async def owners_of(self, task_ids: Collection[int]) -> Mapping[int, Owner]:
        """The owners of jobs; one for which any server can answer is not there.

        That is so when there is no such job, and when it ended longer ago than a moment.
        """

    async def addresses(self) -> Collection[str]:
        """Where the servers are that live."""
