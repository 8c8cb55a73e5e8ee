"""The comments of the public API, which the build lays beside its stubs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources


@cache
def comments() -> Mapping[str, str]:
    """The comment of each service, RPC, message and field by its name in full."""
    text = (resources.files("entrance.v1") / "comments.json").read_text(encoding="utf-8")
    found: dict[str, str] = json.loads(text)
    return found
