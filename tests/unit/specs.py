"""What tests of the data layer ask for."""

from __future__ import annotations

import dataclasses
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from entrance_server.domain.job import JobSpec

_SPEC = JobSpec("alice", "alice", "IDE", "duckdb", "sql", "SELECT 1")


def sqlite_url(directory: Path) -> str:
    """A database in a file that may not be there yet."""
    return f"sqlite:///{directory / 'entrance.db'}"


def spec(**changes: Any) -> JobSpec:
    """A request of alice's, with some of it changed."""
    return dataclasses.replace(_SPEC, **changes)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file grows beyond so many bytes, as though the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
