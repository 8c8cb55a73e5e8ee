"""The command beside a service to call."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.cli.terminal import TerminalCommand
from tests.contract.client.fake_service import TOKEN, FakeService, fake_service, serving


@pytest.fixture
def service() -> FakeService:
    return fake_service()


@pytest.fixture
def entrance(service: FakeService, tmp_path: Path) -> Iterator[TerminalCommand]:
    with serving(service) as port:
        environment = {
            **os.environ,
            "ENTRANCE_TARGET": f"127.0.0.1:{port}",
            "ENTRANCE_TOKEN": TOKEN,
            "ENTRANCE_DATA_DIR": str(tmp_path / "data"),
        }
        yield TerminalCommand(environment, tmp_path)
