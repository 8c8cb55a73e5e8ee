"""The limit of open files is raised as far as the system lets a process."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """\
import resource, sys
from entrance.descriptors import allow_descriptors
soft, hard, count = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(allow_descriptors(count), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "count", "told"),
    [
        (100, 200, 150, "True 150"),
        (100, 200, 300, "False 200"),
        (100, 200, 50, "True 100"),
    ],
)
def test_it_is_raised_up_to_the_hard_limit(soft: int, hard: int, count: int, told: str) -> None:
    command = [sys.executable, "-c", CODE, *map(str, (soft, hard, count))]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    assert said.stdout.strip() == told
