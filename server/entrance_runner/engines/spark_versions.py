"""Which versions of Spark's client and of a Spark work together. Pure."""

from __future__ import annotations

import re

_HEAD = re.compile(r"(\d+)\.(\d+)")


def version_problem(*, client: str, server: str) -> str | None:
    """What is wrong with a pair of versions; None for nothing.

    Spark keeps its protocol from one minor version to the next, not from one major to another.
    """
    ours, theirs = _HEAD.match(client), _HEAD.match(server)
    if theirs is None:
        return f"it calls its version {server[:40]!r}"
    if ours is None or ours[1] == theirs[1]:
        return None
    return (
        f"it is version {server}, and the client here {client}; "
        f"install a client of version {theirs[1]}, or use a Spark of version {ours[1]}"
    )
