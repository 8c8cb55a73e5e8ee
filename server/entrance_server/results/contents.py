"""Result files as they are, byte for byte. Everything here blocks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO

PIECE = 256 * 1024  # bytes of a stream that are handed on at a time


def read(path: Path, offset: int, size: int) -> bytes:
    """A part of a file; empty past its end."""
    with _opened(path, offset) as content:
        return content.read(size)


def pieces(path: Path, offset: int = 0) -> Generator[bytes, None, None]:
    """A file from an offset on."""
    with _opened(path, offset) as content:
        while piece := content.read(PIECE):
            yield piece


@contextlib.contextmanager
def _opened(path: Path, offset: int) -> Iterator[BinaryIO]:
    """Opens a file at an offset, or at its end where that comes first."""
    with path.open("rb") as content:
        content.seek(min(offset, os.fstat(content.fileno()).st_size))
        yield content
