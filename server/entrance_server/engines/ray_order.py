"""What is told to start a runner on a node of a Ray cluster, and what is told back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """What a runner is started with; `credentials` go to its standard input alone."""

    session_id: str
    directory: str
    python: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    passed_environment: Sequence[str]
    credentials: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a runner is; `environment` is what user code may see of the node's own."""

    address: str
    pid: int
    node: str
    environment: Mapping[str, str]
