"""The fields of requests by the names that callers write, and JSON values that do not fit them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LARGE = st.integers(min_value=2**63) | st.integers(max_value=-(2**63) - 1)
JSON: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | LARGE | st.floats().filter(math.isfinite) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
ON_UNLESS_FALSE = "entrance.v1.LogRequest.distinct_level"  # any text is true
BOOLEAN_WORDS = {"true", "false", "1", "0", "yes", "no", "on", "off"}
INTEGERS = {FieldDescriptor.TYPE_INT32: 32, FieldDescriptor.TYPE_INT64: 64}


@dataclass(frozen=True)
class Field:
    """A field of a request, and where it stands in the body."""

    descriptor: FieldDescriptor
    path: tuple[str, ...]

    @property
    def name(self) -> str:
        """As errors name it."""
        return ".".join(self.path)

    def body(self, value: Any) -> dict[str, Any]:
        """A body with nothing but a value at the field's place."""
        for name in reversed(self.path):
            value = {name: value}
        return dict(value)

    def fits(self, value: Any) -> bool:
        """Whether a JSON value can be one of the field."""
        field = self.descriptor
        if value is None:
            return True
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return isinstance(value, dict)
        if field.is_repeated:
            return isinstance(value, list)
        if field.message_type is not None:
            return isinstance(value, dict) and field.message_type is not Timestamp.DESCRIPTOR
        return self._fits_one(value)

    def _fits_one(self, value: Any) -> bool:
        kind = self.descriptor.type
        if kind in INTEGERS:
            return _is_integer(value, INTEGERS[kind])
        if self.descriptor.full_name == ON_UNLESS_FALSE:
            return isinstance(value, bool | str)
        if kind == FieldDescriptor.TYPE_BOOL:
            return isinstance(value, bool) or str(value).lower() in BOOLEAN_WORDS
        return isinstance(value, str)


def fields_of(
    message: Descriptor, *, without: str = "", path: tuple[str, ...] = ()
) -> Iterator[Field]:
    """Every field of a request and of the messages within it, but for those in a route's path."""
    for field in message.fields:
        if f"{{{field.name}}}" in without:
            continue
        own = Field(field, (*path, field.json_name))
        yield own
        kind = field.message_type
        if kind is not None and not field.is_repeated and kind.file.package == message.file.package:
            yield from fields_of(kind, path=own.path)


def _is_integer(value: Any, bits: int) -> bool:
    if isinstance(value, str) and value.removeprefix("-").isdecimal() and value.isascii():
        value = int(value)
    return type(value) is int and -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)
