"""SQL by DuckDB, in a worker process that keeps its tables from run to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from entrance_runner.engine import (
    Engine,
    EngineUnavailable,
    Session,
    SessionContext,
    package_version,
)


class DuckDBEngine(Engine):
    """Runs SQL by DuckDB."""

    engine_type: ClassVar[str] = "duckdb"
    run_types: ClassVar[Sequence[str]] = ("sql",)
    description: ClassVar[str] = "SQL by DuckDB; tables last for the session."

    @classmethod
    def version(cls) -> str:
        """The version of DuckDB."""
        return package_version("duckdb")

    async def open(self, context: SessionContext) -> Session:
        """Starts a worker."""
        raise EngineUnavailable("not there yet")
