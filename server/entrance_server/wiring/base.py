"""What every part of a server is built on."""

from __future__ import annotations

import importlib.util
from contextlib import AsyncExitStack
from dataclasses import dataclass

from entrance_server.clock import SteadyClock
from entrance_server.config import ServerSettings
from entrance_server.store import SqlStore
from entrance_server.tenure import Tenure

LATE_LIBRARIES = ("alembic", "cryptography", "pyarrow", "xlsxwriter")  # loaded when first needed


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


def require_late_libraries() -> None:
    """Misses at the start what is needed only later.

    Raises:
        StartError: a library is not installed.
    """
    for name in LATE_LIBRARIES:
        if importlib.util.find_spec(name) is None:
            raise StartError(f"the module {name} is missing: pip install 'entrance[server]'")
