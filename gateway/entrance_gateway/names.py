"""How enum values are spelled in REST, and which fields do not come by its answers."""

from __future__ import annotations

import re

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
    value = enum.values_by_number.get(number)
    if value is None or number == 0:
        return None
    short = value.name.removeprefix(_prefix(enum))
    return short.title().replace("_", "") if enum is _STATUS else short.lower()


def enum_number(enum: EnumDescriptor, text: str) -> int | None:
    """The value that a caller names in short or in full, in any case; None for another word."""
    for number, value in enum.values_by_number.items():
        if number and text.lower() in ((enum_name(enum, number) or "").lower(), value.name.lower()):
            return number
    return None


def enum_names(enum: EnumDescriptor) -> list[str]:
    """Every name that `enum_name` gives, in order."""
    names = (enum_name(enum, number) for number in sorted(enum.values_by_number))
    return [name for name in names if name]


def _prefix(enum: EnumDescriptor) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum.name).upper() + "_"
