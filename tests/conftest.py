"""What tests of the whole service share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from tests.support.postgres import Postgres

pytest.register_assert_rewrite("tests.support")

# programs that tests start can be interrupted, also where the tests run in the background
signal.signal(signal.SIGINT, signal.default_int_handler)

# no example is wrong because the machine is busy
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

from tests.support.service import Caller, Service, running_service  # noqa: E402


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for all tests that leave it running."""
    from tests.support.postgres import running_postgres  # most tests need neither it nor its driver

    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """An empty database of the test's own."""
    from tests.support.postgres import new_database

    with new_database(postgres) as url:
        yield url


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """A server and a gateway for all tests that leave them, and each other's jobs, alone."""
    with running_service() as service:
        yield service


@pytest.fixture
def own_service() -> Iterator[Service]:
    """A service of the test's own, which it may stop, kill and start again."""
    with running_service() as service:
        yield service


@pytest.fixture
def alice(service: Service) -> Caller:
    return service.alice


@pytest.fixture
def bob(service: Service) -> Caller:
    return service.bob
