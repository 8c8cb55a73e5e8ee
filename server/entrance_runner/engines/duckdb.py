"""SQL by DuckDB, in a worker process that keeps its tables from run to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from entrance_runner.engine import (
    Engine,
    Parameter,
    ParameterType,
    Session,
    SessionContext,
    package_version,
)

WORKER = "entrance_runner.engines.duckdb_worker:DuckDBWorker"


class DuckDBEngine(Engine):
    """Runs SQL by DuckDB."""

    engine_type: ClassVar[str] = "duckdb"
    run_types: ClassVar[Sequence[str]] = ("sql",)
    description: ClassVar[str] = "SQL by DuckDB; tables last for the session."
    parameters: ClassVar[Sequence[Parameter]] = (
        Parameter(
            "duckdb.database",
            ParameterType.TEXT,
            "The database file; unset means a database in memory.",
        ),
        Parameter(
            "duckdb.threads", ParameterType.INTEGER, "Threads; unset means one for each core."
        ),
        Parameter("duckdb.memory_limit", ParameterType.TEXT, "Memory, such as 4GB."),
    )

    @classmethod
    def version(cls) -> str:
        """The version of DuckDB."""
        return package_version("duckdb")

    async def open(self, context: SessionContext) -> Session:
        """Starts a worker with a connection."""
        from entrance_runner.worker import WorkerSession

        return await WorkerSession.start(context, WORKER)
