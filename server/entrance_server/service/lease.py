"""Keeps this server's lease, and takes over from servers that did not keep theirs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from entrance_server.domain.instances import Lease
from entrance_server.keeper import Keeper, Watch
from entrance_server.store.port import Inheritance, LeaseLost, Members, StoreUnavailable
from entrance_server.tenure import Tenure

log = structlog.get_logger(__name__)

MARGIN = 0.1  # of a lease, in which clocks may differ and what was begun may end
LEAVE_TIMEOUT = 2.0  # seconds


class LeaseKeeper(Keeper):
    """Renews a lease three times in its length. An async context manager; leaving it ends it.

    The tenure ends a little before the lease would, counted from before the last renewal was sent,
    so that this server has stopped by the time that another one may take over.
    """

    def __init__(
        self, *, members: Members, lease: Lease, length: timedelta, taken: float, tenure: Tenure
    ) -> None:
        self._members = members
        self._lease = lease
        self._length = length
        self._tenure = tenure
        self._extend(taken)

    async def __aexit__(self, *exc_info: object) -> None:
        await super().__aexit__(*exc_info)
        with contextlib.suppress(StoreUnavailable, LeaseLost, TimeoutError):
            async with asyncio.timeout(LEAVE_TIMEOUT):
                await self._members.leave(self._lease)

    async def _work(self) -> None:
        interval = self._length.total_seconds() / 3
        while True:
            await asyncio.sleep(interval)
            sent = self._tenure.now()
            try:
                await self._members.renew(self._lease, self._length)
            except LeaseLost:
                self._tenure.end()
                return
            except StoreUnavailable as error:
                log.warning("lease not renewed", error=str(error))
                interval = self._length.total_seconds() / 20
            else:
                self._extend(sent)
                interval = self._length.total_seconds() / 3

    def _extend(self, since: float) -> None:
        self._tenure.lasts_until(since + self._length.total_seconds() * (1 - MARGIN))


class Takeover(Watch):
    """Looks for servers whose leases ran out, and takes what they had. An async context manager."""

    def __init__(
        self,
        *,
        members: Members,
        lease: Lease,
        interval: timedelta,
        inherit: Callable[[Inheritance], Awaitable[None]],
    ) -> None:
        super().__init__()
        self._members = members
        self._lease = lease
        self._interval = interval
        self._inherit = inherit

    async def _work(self) -> None:
        while True:
            try:
                while (found := await self._members.take_over(self._lease)) is not None:
                    log.warning(
                        "took over",
                        instance=found.instance,
                        jobs=len(found.jobs),
                        sessions=len(found.sessions),
                    )
                    await self._inherit(found)
            except StoreUnavailable as error:
                log.warning("no look for servers that are gone", error=str(error))
            except LeaseLost:
                return
            except Exception:
                log.exception("taking over failed")
            await self._rest(self._interval.total_seconds())
