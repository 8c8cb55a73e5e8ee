"""What a session asks Ray for, by its own settings or by those of its engine."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from entrance_server.engines.parameters import asked_of_ray


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({}, (1.0, 0)),
        ({"ray.cores": "0.5", "ray.memory": "512MiB"}, (0.5, 512 * 1024**2)),
        ({"python.cores": "4", "python.memory_limit": "4g"}, (4.0, 4 * 1024**3)),
        ({"python.cores": "4", "ray.cores": "2", "ray.memory": "1GB"}, (2.0, 10**9)),
    ],
)
def test_cores_and_memory_are_those_of_the_settings(
    options: Mapping[str, str], asked: tuple[float, int]
) -> None:
    assert asked_of_ray(options) == asked
