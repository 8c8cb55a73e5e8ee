"""SQL in Trino, over a connection that the operator has named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from entrance_runner.engine import WorkerEngine
from entrance_runner.parameters import Parameter, ParameterType


class TrinoEngine(WorkerEngine):
    """Runs SQL in Trino."""

    engine_type: ClassVar[str] = "trino"
    package: ClassVar[str] = "trino"
    worker: ClassVar[str] = "entrance_runner.engines.trino_worker:TrinoWorker"
    run_types: ClassVar[Sequence[str]] = ("sql",)
    description: ClassVar[str] = "SQL in Trino, with Trino's own figures of the progress."
    parameters: ClassVar[Sequence[Parameter]] = (
        Parameter(
            "trino.connection",
            ParameterType.TEXT,
            "The coordinator, by the name of its connection in the configuration.",
        ),
    )
