"""What tests of the whole service share."""

from collections.abc import Iterator

import hypothesis
import pytest

pytest.register_assert_rewrite("tests.support")

# no example is wrong because the machine is busy
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

from tests.support.service import Caller, Service, running_service  # noqa: E402


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
