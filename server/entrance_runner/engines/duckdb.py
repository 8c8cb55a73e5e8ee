"""SQL by DuckDB, in a worker process that keeps its tables from run to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from entrance_runner.engine import WorkerEngine
from entrance_runner.parameters import Parameter, ParameterType

MOST_THREADS = 256


class DuckDBEngine(WorkerEngine):
    """Runs SQL by DuckDB."""

    engine_type: ClassVar[str] = "duckdb"
    package: ClassVar[str] = "duckdb"
    worker: ClassVar[str] = "entrance_runner.engines.duckdb_worker:DuckDBWorker"
    run_types: ClassVar[Sequence[str]] = ("sql",)
    description: ClassVar[str] = "SQL by DuckDB; tables last for the session."
    parameters: ClassVar[Sequence[Parameter]] = (
        Parameter(
            "duckdb.database",
            ParameterType.TEXT,
            "The database file; unset means a database in memory.",
        ),
        Parameter(
            "duckdb.threads",
            ParameterType.INTEGER,
            "Threads; unset means one for each core.",
            least=1,
            most=MOST_THREADS,
        ),
        Parameter(
            "duckdb.memory_limit",
            ParameterType.SIZE,
            "Memory for data, such as 4GB; unset means most of what there is.",
            least=1024 * 1024,
        ),
    )
