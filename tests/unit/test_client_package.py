"""What `import entrance` offers."""

from __future__ import annotations

import pytest

import entrance
from entrance import client


def test_every_name_of_the_client_is_a_name_of_the_package() -> None:
    assert all(getattr(entrance, name) is getattr(client, name) for name in client.__all__)


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="'Clientt'"):
        entrance.Clientt  # type: ignore[attr-defined]  # noqa: B018
