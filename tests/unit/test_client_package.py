"""What `import entrance` offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import entrance
from entrance import client


def test_every_name_of_the_client_is_a_name_of_the_package() -> None:
    assert all(getattr(entrance, name) is getattr(client, name) for name in client.__all__)


def test_a_name_is_there_though_nothing_was_imported_before() -> None:
    code = "import entrance; print(entrance.Client.__module__)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stdout == "entrance.client.sync\n", done.stderr[-500:]


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="'Clientt'"):
        entrance.Clientt  # type: ignore[attr-defined]  # noqa: B018
