"""SQL and Python on a Spark that is reached by Spark Connect."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from typing import ClassVar

from entrance_runner.engine import (
    Engine,
    EngineUnavailable,
    Session,
    SessionContext,
    package_version,
)
from entrance_runner.interpreter import python_command
from entrance_runner.parameters import Parameter, ParameterType, Scope
from entrance_runner.worker import WorkerSession

WORKER = "entrance_runner.engines.spark_worker:SparkWorker"
RELEASE = "entrance_runner.engines.spark_release"
RELEASE_TIMEOUT = 6.0  # seconds
REMOTE = "spark.remote"
CONNECTION = "spark.connection"
DISPLAYED_ROWS = 5_000


class SparkEngine(Engine):
    """Runs SQL and Python on Spark."""

    engine_type: ClassVar[str] = "spark"
    run_types: ClassVar[Sequence[str]] = ("sql", "py", "python")
    description: ClassVar[str] = (
        "SQL, and Python with a variable `spark`, on Spark by Spark Connect; a session keeps "
        "temporary views and variables."
    )
    direct: ClassVar[str] = REMOTE
    parameters: ClassVar[Sequence[Parameter]] = (
        Parameter(
            CONNECTION,
            ParameterType.TEXT,
            "The Spark, by the name of its connection in the configuration.",
        ),
        Parameter(
            REMOTE,
            ParameterType.TEXT,
            "The Spark Connect server, such as sc://host:15002; refused where the installation "
            "has named connections of this engine.",
            pattern=r"sc://[^\s/;]+(/?;[^\s]*|/)?",
            example="sc://host:15002",
        ),
        Parameter(
            "spark.sql.*",
            ParameterType.TEXT,
            "A setting of Spark's SQL for the session, such as spark.sql.shuffle.partitions.",
        ),
        Parameter(
            "spark.displayed_rows",
            ParameterType.INTEGER,
            f"Rows of a data frame that Python displays; unset means {DISPLAYED_ROWS:,}.",
            Scope.RUNTIME,
            least=1,
        ),
    )

    @classmethod
    def version(cls) -> str:
        """The version of the client."""
        try:
            return package_version("pyspark-client")
        except EngineUnavailable:
            return package_version("pyspark")

    @classmethod
    def companion(cls, options: Mapping[str, str]) -> str | None:
        """A local Spark, where none is named and there is one to start."""
        from entrance_runner.engines import spark_local

        is_named = REMOTE in options or CONNECTION in options
        return None if is_named or not spark_local.is_possible() else spark_local.__name__

    async def open(self, context: SessionContext) -> Session:
        """Starts a worker that connects."""
        given = {**context.options, **context.secrets}
        where = {
            "url": given.get("url") or given.get(REMOTE) or "",
            "password": given.get("password", ""),
            "user": context.user,
            "session": str(uuid.uuid4()),
        }
        if not where["url"]:
            raise EngineUnavailable(
                f"no Spark is named; set {REMOTE} to one, as sc://host:15002, or install "
                "entrance[spark-local] and Java 17 for a local one"
            )
        private = context.confinement.private_directory()
        context.confinement.give(private)
        context = dataclasses.replace(
            context,
            secrets=where,
            environment={**context.environment, "IPYTHONDIR": str(private)},
        )
        session = await SparkSession.start(context, WORKER)
        session.release = _Release(context, where)
        return session


class SparkSession(WorkerSession):
    """A worker, and the session that it has on Spark."""

    holds = True
    release: _Release | None = None

    async def close(self) -> None:
        """Ends the session on Spark too, and with it whatever still runs in it."""
        await super().close()
        if self.release:
            await self.release.run()


@dataclasses.dataclass(frozen=True, slots=True)
class _Release:
    context: SessionContext
    where: Mapping[str, str]

    async def run(self) -> None:
        """Asks Spark in a process of its own, since the worker may have been killed."""
        command = python_command(RELEASE, isolated=True)
        # by the environment, where other users of the machine don't see the token
        environment = {f"SPARK_{name.upper()}": text for name, text in self.where.items()}
        try:
            process = await self.context.processes.spawn(
                command,
                cwd=self.context.working_directory,
                env={**self.context.environment, **environment},
                output=self.context.output,
            )
        except OSError:
            return
        try:
            async with asyncio.timeout(RELEASE_TIMEOUT):
                await process.wait()
        except TimeoutError:
            await self.context.processes.kill()
            await process.wait()
