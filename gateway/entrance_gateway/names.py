"""How enum values are spelled in REST, and which fields do not come by its answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from google.protobuf.descriptor import EnumDescriptor

from entrance.v1 import entrance_pb2

HIDDEN = frozenset({"entrance.v1.LoginResponse.session_ticket"})  # a cookie has it
# What is left out where it is unset, rather than null.
LEFT_OUT = frozenset({"entrance.v1.OpenFileResponse.display_prohibited"})

_STATUS = entrance_pb2.JobStatus.DESCRIPTOR


def enum_name(enum: EnumDescriptor, number: int) -> str | None:
    """A value's short name, such as `table`, or a documented state such as `WaitForRetry`.

    None for the value that means unset, and for one that this version does not know.
    """
    return _names(enum).get(number)


def enum_number(enum: EnumDescriptor, text: str) -> int | None:
    """The value that a caller names in short or in full, in any case; None for another word."""
    for number, value in enum.values_by_number.items():
        if number and text.lower() in ((enum_name(enum, number) or "").lower(), value.name.lower()):
            return number
    return None


def enum_names(enum: EnumDescriptor) -> list[str]:
    """Every name that `enum_name` gives, in order."""
    return [name for _, name in sorted(_names(enum).items())]


@cache
def _names(enum: EnumDescriptor) -> Mapping[int, str]:
    prefix = _prefix(enum)
    short = {value.number: value.name.removeprefix(prefix) for value in enum.values if value.number}
    if enum is _STATUS:
        return {number: name.title().replace("_", "") for number, name in short.items()}
    return {number: name.lower() for number, name in short.items()}


def _prefix(enum: EnumDescriptor) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum.name).upper() + "_"
