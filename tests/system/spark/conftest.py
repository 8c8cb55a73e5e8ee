"""One Spark for all tests of the engine."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.spark import SparkCluster, missing, running_cluster

MUST_RUN = "ENTRANCE_NO_SKIPS"  # in the environment of a run that may skip nothing


def require_spark() -> None:
    """Skips the test where no Spark can run; fails it where nothing may be skipped."""
    if reason := missing():
        if os.environ.get(MUST_RUN):
            pytest.fail(f"no Spark to test with: {reason}")
        pytest.skip(f"no Spark to test with: {reason}")


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkCluster]:
    """A standalone cluster; a test that stops a part of it starts that part again."""
    require_spark()
    with running_cluster() as cluster:
        yield cluster
