"""JSON, query and path to the request that an RPC takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from entrance_gateway import forms
from entrance_gateway.body import read_object
from entrance_gateway.envelope import encode
from entrance_gateway.errors import UNREADABLE, Refusal, wrong_field
from entrance_gateway.names import enum_names, enum_number
from entrance_gateway.operations import Operation

_INTEGER = re.compile(r"-?[0-9]{1,20}")
_INTEGER_BITS = {FieldDescriptor.TYPE_INT32: 32, FieldDescriptor.TYPE_INT64: 64}
# Texts that mean a boolean, as a query has them.
_BOOLEANS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
_ON_UNLESS_FALSE = "entrance.v1.LogRequest.distinct_level"  # documented so
_LISTS_OF_IDS = frozenset({"id_list"})  # an id may be written as a number there too


def from_body(
    operation: Operation, path: Mapping[str, str], raw: bytes
) -> tuple[Message, forms.Spelling]:
    """The request for an operation with a body, and how its caller spells fields.

    Raises:
        Refusal: the body can't be read, or a known field has a wrong type.
    """
    given, spelling = _read(operation, raw), forms.AS_IN_PROTO
    if "execution_content" in operation.request_class.DESCRIPTOR.fields_by_name:
        given, spelling = forms.labels_form(given)
    try:
        return _request(operation, path, given), spelling
    except RecursionError:
        raise Refusal("The body is nested too deeply.", err_code=UNREADABLE) from None


def _read(operation: Operation, raw: bytes) -> dict[str, Any]:
    """The body; an operation that asks for nothing beside its path takes none as well."""
    return read_object(raw) if raw.strip() or operation.asks_beside_path else {}


def from_query(
    operation: Operation, path: Mapping[str, str], query: Iterable[tuple[str, str]]
) -> Message:
    """The request for an operation without a body. A parameter without a value counts as unset.

    Raises:
        Refusal: a known parameter is given twice, or is not what it should be.
    """
    fields = _by_spelling(operation.request_class.DESCRIPTOR)
    given: dict[str, Any] = {}
    for name, text in query:
        field = fields.get(name)
        if field is None or not text:
            continue
        if field.is_repeated:
            given.setdefault(name, []).extend(text.split(","))
        elif name in given:
            raise wrong_field(name, "is given twice")
        else:
            given[name] = text
    return _request(operation, path, given)


def _request(operation: Operation, path: Mapping[str, str], given: Mapping[str, Any]) -> Message:
    request = operation.request_class()
    fill(request, given, skip=path)
    fill(request, path)
    return request


def fill(
    message: Message, given: Mapping[str, Any], at: str = "", skip: Collection[str] = ()
) -> None:
    """Sets the fields of a message that are given; unknown names and null are passed over.

    Args:
        message: what to fill.
        given: JSON values or texts, by the JSON name of a field or its name in the proto.
        at: the caller's spelling of where `given` stands, ending with a dot, for errors.
        skip: names in the proto of fields that have their value from elsewhere.

    Raises:
        Refusal: a value has a wrong type.
    """
    fields = _by_spelling(cast(Descriptor, message.DESCRIPTOR))
    for name, value in given.items():
        field = fields.get(name)
        if field is not None and value is not None and field.name not in skip:
            _set(message, field, value, at + name)


@cache
def _by_spelling(of: Descriptor) -> Mapping[str, FieldDescriptor]:
    return {name: field for field in of.fields for name in (field.name, field.json_name)}


def _set(message: Message, field: FieldDescriptor, value: Any, at: str) -> None:
    if field.message_type is None and not field.is_repeated:
        setattr(message, field.name, _scalar(field, value, at))
        return
    part = getattr(message, field.name)
    if _is_map(field):
        part.update(_texts(_mapping(value, at), at))
    elif field.is_repeated:
        part.extend(_item(field, item, f"{at}[{i}]") for i, item in enumerate(_list(value, at)))
    elif isinstance(part, Timestamp):
        _set_timestamp(part, value, at)
    else:
        part.SetInParent()
        fill(part, _mapping(value, at), at + ".")


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _mapping(value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong_field(at, "must be an object")
    return value


def _list(value: Any, at: str) -> list[Any]:
    if not isinstance(value, list):
        raise wrong_field(at, "must be an array")
    return value


def _texts(given: Mapping[str, Any], at: str) -> dict[str, str]:
    return {
        _unicode(name, f"{at}.{name}"): _as_text(value, f"{at}.{name}")
        for name, value in given.items()
        if value is not None
    }


def _as_text(value: Any, at: str) -> str:
    """A JSON value as text: a text as it is, anything else as JSON writes it."""
    return _unicode(value if isinstance(value, str) else encode(value), at)


def _unicode(text: str, at: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise wrong_field(at, "has half a surrogate pair, which is not text") from None
    return text


def _set_timestamp(timestamp: Timestamp, value: Any, at: str) -> None:
    try:
        timestamp.FromJsonString(value)
    except (ValueError, TypeError, AttributeError):
        raise wrong_field(at, "must be a time such as 2030-01-31T08:00:00Z") from None


def _item(field: FieldDescriptor, value: Any, at: str) -> Any:
    """An item of a list; null stands for a number that is unknown, since the places matter."""
    if value is None and field.type in _INTEGER_BITS:
        return 0
    if field.name in _LISTS_OF_IDS and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _scalar(field, value, at)


def _scalar(field: FieldDescriptor, value: Any, at: str) -> Any:
    return _SCALARS[field.type](field, value, at)


def _string(_: FieldDescriptor, value: Any, at: str) -> str:
    if not isinstance(value, str):
        raise wrong_field(at, "must be a text")
    return _unicode(value, at)


def _integer(field: FieldDescriptor, value: Any, at: str) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_field(at, "must be an integer")
    bits = _INTEGER_BITS[field.type]
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise wrong_field(at, f"must be an integer of at most {bits} bits")
    return value


def _boolean(field: FieldDescriptor, value: Any, at: str) -> bool:
    if isinstance(value, str):
        word = value.lower()
        value = word != "false" if field.full_name == _ON_UNLESS_FALSE else _BOOLEANS.get(word)
    if not isinstance(value, bool):
        raise wrong_field(at, "must be true or false")
    return value


def _enum(field: FieldDescriptor, value: Any, at: str) -> int:
    enum = cast(EnumDescriptor, field.enum_type)
    number = enum_number(enum, value) if isinstance(value, str) else None
    if number is None:
        raise wrong_field(at, f"must be one of {', '.join(enum_names(enum))}")
    return number


_SCALARS: Mapping[int, Callable[[FieldDescriptor, Any, str], Any]] = {
    FieldDescriptor.TYPE_STRING: _string,
    FieldDescriptor.TYPE_INT32: _integer,
    FieldDescriptor.TYPE_INT64: _integer,
    FieldDescriptor.TYPE_BOOL: _boolean,
    FieldDescriptor.TYPE_ENUM: _enum,
}
