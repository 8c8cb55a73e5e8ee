"""What is done to a request, as a line of the job's log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the job's log; `text` has no line break."""

    level: Literal["INFO", "WARN"]
    text: str
