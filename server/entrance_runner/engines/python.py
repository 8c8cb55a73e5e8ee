"""Python code by an IPython kernel that keeps its variables from run to run."""

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


class PythonEngine(Engine):
    """Runs Python by an IPython kernel."""

    engine_type: ClassVar[str] = "python"
    run_types: ClassVar[Sequence[str]] = ("python", "py")
    description: ClassVar[str] = "Python by an IPython kernel; variables last for the session."

    @classmethod
    def version(cls) -> str:
        """The version of ipykernel."""
        return package_version("ipykernel")

    async def open(self, context: SessionContext) -> Session:
        """Starts a kernel."""
        raise EngineUnavailable("not there yet")
