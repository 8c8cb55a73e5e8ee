"""Whose ended jobs a server looks after: its own, and those of servers that are gone for long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from entrance_server.store.port import Heirs

GONE_FOR = timedelta(minutes=10)  # after which another server does it for one


async def looked_after(heirs: Heirs, instance: str) -> Sequence[str]:
    """The instances to whose jobs a server applies its rules, itself first.

    Raises:
        StoreUnavailable: the store does not tell.
    """
    return [instance, *await heirs.left_to(instance, gone_for=GONE_FOR)]
