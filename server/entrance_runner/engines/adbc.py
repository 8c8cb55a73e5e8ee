"""SQL in a database that has an ADBC driver, over a connection that the operator has named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from entrance_runner.engine import WorkerEngine
from entrance_runner.parameters import Parameter, ParameterType


class AdbcEngine(WorkerEngine):
    """Runs SQL in PostgreSQL and SQLite."""

    engine_type: ClassVar[str] = "adbc"
    package: ClassVar[str] = "adbc-driver-manager"
    worker: ClassVar[str] = "entrance_runner.engines.adbc_worker:AdbcWorker"
    run_types: ClassVar[Sequence[str]] = ("sql",)
    description: ClassVar[str] = "SQL in PostgreSQL or SQLite; a session is one connection."
    parameters: ClassVar[Sequence[Parameter]] = (
        Parameter(
            "adbc.connection",
            ParameterType.TEXT,
            "The database, by the name of its connection in the configuration.",
        ),
    )
