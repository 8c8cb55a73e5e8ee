"""Ends a session on Spark, whatever runs in it; run in a process of its own with a deadline."""

# mypy: disallow-untyped-calls=false
# generated stubs have no types

from __future__ import annotations

import os
import warnings

with warnings.catch_warnings(action="ignore", category=FutureWarning):
    from pyspark.sql.connect.client import DefaultChannelBuilder
    from pyspark.sql.connect.proto import ReleaseSessionRequest, UserContext
    from pyspark.sql.connect.proto.base_pb2_grpc import SparkConnectServiceStub

TIMEOUT = 4.0  # seconds


def main() -> None:
    """Ends the session that the environment names."""
    builder = DefaultChannelBuilder(os.environ["SPARK_URL"])
    if token := os.environ["SPARK_PASSWORD"]:
        builder.set("token", token)
    request = ReleaseSessionRequest(
        session_id=os.environ["SPARK_SESSION"],
        user_context=UserContext(user_id=os.environ["SPARK_USER"]),
        client_type=builder.userAgent,
    )
    with builder.toChannel() as channel:
        stub = SparkConnectServiceStub(channel)
        stub.ReleaseSession(request, metadata=builder.metadata(), timeout=TIMEOUT)
