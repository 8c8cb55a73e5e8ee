"""A directory whose file system can't be written, where tests run as root and may mount."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Makes what lies below a directory read-only within the block; skips the test elsewhere."""
    at = str(directory)
    if os.getuid() != 0 or shutil.which("mount") is None or not _runs("mount", "--bind", at, at):
        pytest.skip("a read-only directory needs root and mount")
    try:
        assert _runs("mount", "-o", "remount,bind,ro", at)
        yield
    finally:
        assert _runs("umount", "--lazy", at)


def _runs(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
