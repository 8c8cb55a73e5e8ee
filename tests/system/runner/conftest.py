"""A runner process for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.system.runner.client import RunnerClient, started_runner


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[RunnerClient]:
    async with started_runner(tmp_path) as runner:
        yield runner
