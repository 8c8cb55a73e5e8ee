"""Where the content of a result goes: stdout, or a file that is there whole or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

STDOUT = "-"


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """The file at a path, or stdout for `-`. A file that was there is replaced at the end.

    Raises:
        OSError: it can't be written.
    """
    if path == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif _is_device(path):
        with open(path, "wb") as device:
            yield device
    else:
        with _replaced(Path(path)) as file:
            yield file


def _is_device(path: str) -> bool:
    return os.path.exists(path) and not os.path.isfile(path)


@contextmanager
def _replaced(path: Path) -> Iterator[BinaryIO]:
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:  # names the temporary file
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
