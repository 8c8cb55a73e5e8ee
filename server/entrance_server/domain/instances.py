"""The servers of one store: who they are, which leases they hold, who acts for a job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """A server's right to act under its name, from one start of it to the next.

    `fence` rises with every start and when another server takes over, so that a change with an
    older one is refused.
    """

    instance: str
    fence: int


@dataclass(frozen=True, slots=True)
class Instance:
    """A server of the store as its row tells.

    Attributes:
        name: Its name, which is also in the execIDs of the jobs that it accepted.
        address: `host:port` at which the other servers reach its gRPC; "" is not known.
        home: Its machine and data directory, which one process at a time holds.
        fence: That of its last lease.
        is_alive: Whether that lease still holds, by the clock of the database.
        lease_expire_time: When it ends unless it is renewed; None is never.
    """

    name: str
    address: str
    home: str
    fence: int
    is_alive: bool
    lease_expire_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """Which server acts for a job.

    Attributes:
        name: The server's name.
        address: As `Instance.address`.
        fence: The fence of the lease under which it took the job.
        is_alive: Whether it holds that very lease still.
        end_time: When the job ended; None before. From a while later on, any server can answer for
            it.
    """

    name: str
    address: str
    fence: int
    is_alive: bool
    end_time: datetime | None = None
