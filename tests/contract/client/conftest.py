"""A service to call, and the two skins of the client under one face."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import cast

import pytest

from entrance.client import AsyncClient, Client, Retries
from tests.contract.client.fake_service import TOKEN, FakeService, fake_service, serving
from tests.contract.client.in_thread import InThread

QUICK = Retries(first_delay=0.01, longest_delay=0.05)


@pytest.fixture
def service() -> FakeService:
    return fake_service()


@pytest.fixture
def target(service: FakeService) -> Iterator[str]:
    with serving(service) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture(params=["sync", "async"])
async def client(request: pytest.FixtureRequest, target: str) -> AsyncIterator[AsyncClient]:
    """Either client; the one that waits does so in threads, so that a test is written once."""
    if request.param == "async":
        async with AsyncClient(target, token=TOKEN, retries=QUICK, deadline=10) as client:
            yield client
    else:
        with Client(target, token=TOKEN, retries=QUICK, deadline=10) as waiting:
            yield cast(AsyncClient, InThread(waiting))
