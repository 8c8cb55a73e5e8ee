"""SQL in a database that has an ADBC driver, over a connection that the operator has named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from entrance_runner.engine import Engine, Session, SessionContext, package_version
from entrance_runner.parameters import Parameter, ParameterType

WORKER = "entrance_runner.engines.adbc_worker:AdbcWorker"


class AdbcEngine(Engine):
    """Runs SQL in PostgreSQL and SQLite."""

    engine_type: ClassVar[str] = "adbc"
    run_types: ClassVar[Sequence[str]] = ("sql",)
    description: ClassVar[str] = "SQL in PostgreSQL or SQLite; a session is one connection."
    parameters: ClassVar[Sequence[Parameter]] = (
        Parameter(
            "adbc.connection",
            ParameterType.TEXT,
            "The database, by the name of its connection in the configuration.",
        ),
    )

    @classmethod
    def version(cls) -> str:
        """The version of the driver manager."""
        return package_version("adbc-driver-manager")

    async def open(self, context: SessionContext) -> Session:
        """Starts a worker that connects."""
        from entrance_runner.worker import WorkerSession

        return await WorkerSession.start(context, WORKER)
