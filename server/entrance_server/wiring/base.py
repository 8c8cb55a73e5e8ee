"""What every part of a server is built on."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

from entrance_server.clock import SteadyClock
from entrance_server.config import ServerSettings
from entrance_server.store import SqlStore
from entrance_server.tenure import Tenure


class StartError(Exception):
    """The server can't start; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Base:
    """A server's settings and store, by what name it is known, and what ends with it.

    `stack` is left when the server stops: the part that was made last ends first.
    """

    settings: ServerSettings
    store: SqlStore
    instance: str
    clock: SteadyClock
    tenure: Tenure
    stack: AsyncExitStack
