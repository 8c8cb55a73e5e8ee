"""SQL in Trino, over a connection that the operator has named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from entrance_runner.engine import Engine, Session, SessionContext, package_version
from entrance_runner.parameters import Parameter, ParameterType

WORKER = "entrance_runner.engines.trino_worker:TrinoWorker"


class TrinoEngine(Engine):
    """Runs SQL in Trino."""

    engine_type: ClassVar[str] = "trino"
    run_types: ClassVar[Sequence[str]] = ("sql",)
    description: ClassVar[str] = "SQL in Trino, with Trino's own figures of the progress."
    parameters: ClassVar[Sequence[Parameter]] = (
        Parameter(
            "trino.connection",
            ParameterType.TEXT,
            "The coordinator, by the name of its connection in the configuration.",
        ),
    )

    @classmethod
    def version(cls) -> str:
        """The version of Trino's client."""
        return package_version("trino")

    async def open(self, context: SessionContext) -> Session:
        """Starts a worker that connects."""
        from entrance_runner.worker import WorkerSession

        return await WorkerSession.start(context, WORKER)
