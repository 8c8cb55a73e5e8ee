"""How code of a cell is interrupted, and where in it an error came from."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


MAX_MESSAGE_CHARACTERS = 2000  # of an exception


class Interrupts:
    """Lets SIGINT reach code alone: one that comes between two parts of a cell hits the next.

    Anywhere else it could end the kernel, or be lost.
    """

    def __init__(self) -> None:
        self._running = False
        self._pending = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Is the handler of the signal."""
        if self._running:
            raise KeyboardInterrupt
        self._pending = True

    def forget(self) -> None:
        """Forgets an interrupt that came too late."""
        self._pending = False

    @contextlib.contextmanager
    def reaching(self) -> Iterator[None]:
        """Raises KeyboardInterrupt for a signal that comes in the context, or came before."""
        self._running = True
        try:
            if self._pending:
                self._pending = False
                raise KeyboardInterrupt
            yield
        finally:
            self._running = False


def line_of(error: BaseException, shell: InteractiveShell) -> int:
    """The line of the running code that an error came from, 0 where it is not known."""
    if isinstance(error, SyntaxError) and _is_cell(shell, error.filename or ""):
        return error.lineno or 0
    frames = [
        (frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    cell = next((name for name, _ in frames if _is_cell(shell, name)), None)
    lines = [line for name, line in frames if name == cell]
    return lines[-1] if lines else 0


def text_of(error: BaseException) -> str:
    """What an error says, in text that can be sent: it may hold what UTF-8 can't."""
    text = str((error.msg or "") if isinstance(error, SyntaxError) else error)
    return text.encode(errors="backslashreplace").decode()


def described(name: str, text: str, line: int) -> str:
    """An exception in bounded length, with the line of code that it came from where it is known."""
    told = f"{name}: {text}" if text else name
    if len(told) > MAX_MESSAGE_CHARACTERS:
        told = told[:MAX_MESSAGE_CHARACTERS] + "…"
    return f"{told} (line {line})" if line else told


def _is_cell(shell: InteractiveShell, file_name: str) -> bool:
    return shell.compile.format_code_name(file_name) is not None
