"""A system's clock that a test sets, for the programs that are started with its environment."""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_BUILT_FOR = ("linux", "x86_64")


class SettableClock:
    """Is ahead of the true one by as much as a file says; clocks that nobody sets stay true.

    `file` is that file, which its programs read again each second.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._link = file.with_name("libfaketime.so.1")  # since a path to load can't have a space
        if self.works:
            self._link.symlink_to(str(_library()))
        self.set(0)

    @property
    def environment(self) -> Mapping[str, str]:
        """What programs are started with that go by it; nothing where that can't be had."""
        if not self.works:
            return {}
        return {
            "LD_PRELOAD": str(self._link),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    @property
    def works(self) -> bool:
        """Whether programs here can go by it."""
        return _library() is not None

    def set(self, ahead: float) -> None:
        """Sets it ahead of the true time by so many seconds; behind it when negative."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead:+.3f}\n")
        new.replace(self._file)


def forget(pid: int) -> None:
    """Removes what a program that went by such a clock leaves behind when it is killed."""
    for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
        Path("/dev/shm", name).unlink(missing_ok=True)


@cache
def _library() -> Path | None:
    found = importlib.util.find_spec("libfaketime")
    if found is None or found.origin is None or (sys.platform, platform.machine()) != _BUILT_FOR:
        return None
    path = Path(found.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"
    return path if path.is_file() else None
