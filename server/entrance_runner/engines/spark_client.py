"""The client of Spark Connect: how a session opens, how rows come, and how errors read.

Public names of pyspark where there are any; rows in batches of Arrow are only to be had by `_plan`.
"""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
from pyspark.errors import PySparkException, PythonException

with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of pandas, not used here
    from pyspark.sql.connect.client import DefaultChannelBuilder
    from pyspark.sql.connect.client.retries import DefaultPolicy
    from pyspark.sql.connect.session import SparkSession
from pyspark.version import __version__ as client_version

from entrance_runner.engine import EngineUnavailable, InvalidOption
from entrance_runner.engines.spark_versions import version_problem

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.connect.dataframe import DataFrame as ConnectFrame
    from pyspark.sql.connect.proto import ExecutePlanRequest

REACH_TIMEOUT = 10.0  # seconds
MAX_MESSAGE_CHARACTERS = 2000
_NEVER = 2**31 - 1  # milliseconds
# about ten seconds in all, since a job must not wait much longer for a Spark that is gone
_RETRIES = DefaultPolicy(max_retries=6, initial_backoff=50, max_backoff=3000)
_STACK = "\n\nJVM stacktrace:"
_PLAN = (";\n", "\n\n== ")  # behind them the plan or the SQL is shown again
_GONE = ("INVALID_HANDLE.SESSION", "NO_ACTIVE_SESSION")


def open_session(
    url: str,
    *,
    token: str,
    user: str,
    session_id: str,
    on_request: Callable[[ExecutePlanRequest], None],
) -> SparkSession:
    """Connects, and makes sure that a Spark of a fitting version answers.

    Args:
        url: `sc://host:port`, perhaps with parameters.
        token: What the server asks for; empty for nothing.
        user: Whose session it is.
        session_id: Names the session, as a UUID.
        on_request: Called in the thread that asks Spark for something, before it is sent.

    Raises:
        InvalidOption: the URL is none.
        EngineUnavailable: Spark does not answer, or its version does not fit.
    """
    try:
        builder = DefaultChannelBuilder(url, [("grpc.client_idle_timeout_ms", _NEVER)])
    except (PySparkException, ValueError) as error:
        raise InvalidOption(f"the URL of Spark is wrong: {reason_of(error)}") from None
    builder.set("session_id", session_id)
    if token:
        builder.set("token", token)

    class Watching(SparkSession.Hook):
        def on_execute_plan(self, request: ExecutePlanRequest) -> ExecutePlanRequest:
            on_request(request)
            return request

    _reach(builder.endpoint)
    session = SparkSession(builder, userId=user, hook_factories=[lambda _: Watching()])
    session.client.set_retry_policies([_RETRIES])
    # or functions and builders would look for another Spark
    os.environ.update(SPARK_CONNECT_MODE_ENABLED="1", SPARK_REMOTE=url)
    SparkSession._set_default_and_active_session(session)
    try:
        version = session.version
    except Exception as error:
        raise EngineUnavailable(
            f"no Spark Connect server answers at {builder.endpoint}: {reason_of(error)}"
        ) from None
    if problem := version_problem(client=client_version, server=version):
        raise EngineUnavailable(f"the Spark at {builder.endpoint} does not fit: {problem}")
    return session


def rows_of(frame: DataFrame) -> pa.RecordBatchReader | None:
    """The rows of a data frame in batches, as Spark makes them; None where it has no columns."""
    remote = cast("ConnectFrame", frame)
    client, plan = remote.sparkSession.client, remote._plan
    answers = client.to_table_as_iterator(plan.to_proto(client), plan.observations)
    tables = (one for one in answers if isinstance(one, pa.Table))
    first = next(tables, None)
    if first is None or not first.schema.names:
        for _ in tables:
            continue
        return None
    return pa.RecordBatchReader.from_batches(first.schema, _batches(first, tables))


def reason_of(error: BaseException) -> str:
    """Why something failed, in one line: Spark's error class and message."""
    text = error.getMessage() if isinstance(error, PySparkException) else str(error)
    text = text.partition(_STACK)[0].strip() or type(error).__name__
    if isinstance(error, PythonException):
        text = f"PythonException: {text.splitlines()[-1]}"
    for mark in _PLAN:
        text = text.partition(mark)[0]
    text = " ".join(text.split())
    return text if len(text) <= MAX_MESSAGE_CHARACTERS else text[:MAX_MESSAGE_CHARACTERS] + "…"


def stack_of(error: BaseException) -> str:
    """Where in Spark's own code something failed, in many lines; empty where it is not told."""
    told = getattr(error, "getStackTrace", None)
    text = (told() if told else None) or ""
    return text or (str(error) if isinstance(error, PythonException) else "")


def is_lost(error: BaseException) -> bool:
    """Whether an error says that Spark, or the session there, is gone."""
    if not isinstance(error, PySparkException):
        return False
    code = getattr(error, "getGrpcStatusCode", lambda: None)()
    if code is not None and code.name == "UNAVAILABLE":
        return True
    condition = error.getCondition() or ""
    return condition.startswith(_GONE) or "server side session identifier" in str(error)


def _reach(endpoint: str) -> None:
    host, _, port = endpoint.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), REACH_TIMEOUT):
            return
    except OSError as error:
        why = error.strerror or str(error)
        raise EngineUnavailable(f"Spark can't be reached at {endpoint}: {why}") from None


def _batches(first: pa.Table, others: Iterator[pa.Table]) -> Iterator[Any]:
    for table in chain([first], others):
        yield from table.to_batches()
