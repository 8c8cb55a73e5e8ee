"""Entrance for callers: the typed client, its answers and its errors.

    import entrance

    with entrance.Client.connect() as client:
        job = client.submit("select 42 as answer", engine="duckdb")
        print(job.result().to_arrow())

The names here are loaded when they are first used, so that `import entrance` alone costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from entrance.client import AlreadyExists as AlreadyExists
    from entrance.client import AsyncClient as AsyncClient
    from entrance.client import AsyncJobHandle as AsyncJobHandle
    from entrance.client import AsyncResult as AsyncResult
    from entrance.client import Client as Client
    from entrance.client import Column as Column
    from entrance.client import DeadlineExceeded as DeadlineExceeded
    from entrance.client import Engine as Engine
    from entrance.client import EntranceError as EntranceError
    from entrance.client import FieldViolation as FieldViolation
    from entrance.client import InvalidArgument as InvalidArgument
    from entrance.client import Job as Job
    from entrance.client import JobError as JobError
    from entrance.client import JobFailed as JobFailed
    from entrance.client import JobHandle as JobHandle
    from entrance.client import JobParams as JobParams
    from entrance.client import JobStatus as JobStatus
    from entrance.client import KillOutcome as KillOutcome
    from entrance.client import LimitReached as LimitReached
    from entrance.client import LogLevel as LogLevel
    from entrance.client import LogLine as LogLine
    from entrance.client import LogPage as LogPage
    from entrance.client import NotFound as NotFound
    from entrance.client import PermissionDenied as PermissionDenied
    from entrance.client import Progress as Progress
    from entrance.client import Resources as Resources
    from entrance.client import Result as Result
    from entrance.client import ResultSet as ResultSet
    from entrance.client import ResultType as ResultType
    from entrance.client import Retries as Retries
    from entrance.client import Stage as Stage
    from entrance.client import Unauthenticated as Unauthenticated
    from entrance.client import Unavailable as Unavailable
    from entrance.client import Unsupported as Unsupported
    from entrance.client import WrongState as WrongState


def __getattr__(name: str) -> object:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from entrance import client

    if name not in client.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(client, name)
