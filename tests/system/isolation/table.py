"""What user code can reach at which level of isolation; `docs/security.md` has the same table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LEVELS: Sequence[str] = ("none", "limits", "user", "sandbox")

YES, NO = "stopped", "not stopped"

OUTCOMES: Mapping[str, Sequence[str]] = {
    "inherit the server's environment": (YES, YES, YES, YES),
    "inherit the server's file descriptors": (YES, YES, YES, YES),
    "survive a kill": (YES, YES, YES, YES),
    "pass off another file as a result": (YES, YES, YES, YES),
    "control a terminal by what is printed": (YES, YES, YES, YES),
    "read the server's memory": (NO, YES, YES, YES),
    "read the server's environment": (NO, YES, YES, YES),
    "read a runner's memory": (NO, YES, YES, YES),
    "read a runner's environment": (NO, YES, YES, YES),
    "reach what starts other jobs' processes": (NO, YES, YES, YES),
    "fill the memory": (NO, YES, YES, YES),
    "compute for ever": (NO, YES, YES, YES),
    "fill the process table": (NO, YES, YES, YES),
    "open files without end": (NO, YES, YES, YES),
    "write a file without end": (NO, YES, YES, YES),
    "read the store": (NO, NO, YES, YES),
    "read the administrator's token": (NO, NO, YES, YES),
    "read another job's log": (NO, NO, YES, YES),
    "read another job's results": (NO, NO, YES, YES),
    "read another session's files": (NO, NO, YES, YES),
    "connect to a runner's socket": (NO, NO, YES, YES),
    "signal the server": (NO, NO, YES, YES),
    "signal a runner": (NO, NO, YES, YES),
    "signal another job": (NO, NO, YES, YES),
    "see other processes": (NO, NO, NO, YES),
    "fill the disk by many files": (NO, NO, NO, NO),
}


def rows() -> list[str]:
    """The table as lines of Markdown."""
    head = ["a job tries to", *(f"`{level}`" for level in LEVELS)]
    body = [[attempt, *outcomes] for attempt, outcomes in OUTCOMES.items()]
    return [f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *body]]
