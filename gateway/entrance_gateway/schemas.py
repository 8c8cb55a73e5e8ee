"""JSON schemas of what callers send and read, made from the descriptors of the messages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from entrance_gateway.names import HIDDEN, LEFT_OUT, enum_names

Schema: TypeAlias = dict[str, Any]

TEXT: Schema = {"type": "string"}
_REQUIRED = "Required."  # how the comment of a required field ends
_OLD_FORM: Mapping[str, Schema] = {
    "executionCode": TEXT | {"description": "The code to run. Required."},
    "runType": TEXT | {"description": "The run type; `sql` when it is left out."},
    "executeApplicationName": TEXT | {"description": "The engine. Required."},
    "requestApplicationName": TEXT | {"description": "The creator; `IDE` when it is left out."},
    "formatCode": {"description": "Kept as a label."},
}


def _integer(bits: int) -> Schema:
    most = 2 ** (bits - 1)
    return {"type": "integer", "format": f"int{bits}", "minimum": -most, "maximum": most - 1}


def closed(properties: Mapping[str, Schema]) -> Schema:
    """An object that has all of these properties and no other."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def listed(items: Schema) -> Schema:
    """An array."""
    return {"type": "array", "items": items}


def envelope(data: Schema, *, status: Sequence[int]) -> Schema:
    """What every answer wears; `status` are those that it may have."""
    return closed({"method": TEXT, "status": {"enum": [*status]}, "message": TEXT, "data": data})


def nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    if "type" not in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    names = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **names}


class Messages(ABC):
    """Makes a component for each message that it is asked for."""

    scalars: ClassVar[Mapping[int, Schema]] = {
        FieldDescriptor.TYPE_STRING: TEXT,
        FieldDescriptor.TYPE_BYTES: TEXT | {"contentEncoding": "base64"},
        FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
        FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
        FieldDescriptor.TYPE_INT32: _integer(32),
        FieldDescriptor.TYPE_INT64: _integer(64),
    }
    map_value: ClassVar[Schema] = TEXT

    def __init__(self, components: dict[str, Schema], comments: Mapping[str, str]) -> None:
        self._components = components
        self._comments = comments

    @abstractmethod
    def message(self, message: Descriptor) -> Schema:
        """A reference to the message's component."""

    def field(self, field: FieldDescriptor) -> Schema:
        """A field with its comment."""
        return self._schema(field) | {"description": self._comments[field.full_name]}

    def _schema(self, field: FieldDescriptor) -> Schema:
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            return {"type": "object", "additionalProperties": self.map_value}
        value = self._value(field)
        return listed(value) if field.is_repeated else value

    def _value(self, field: FieldDescriptor) -> Schema:
        if field.enum_type is not None:
            return TEXT | {"enum": enum_names(field.enum_type)}
        if field.message_type is None:
            return self.scalars[field.type]
        if field.message_type.full_name == Timestamp.DESCRIPTOR.full_name:
            return TEXT | {"format": "date-time"}
        return self.message(field.message_type)

    def _component(self, name: str, make: Callable[[], Schema]) -> Schema:
        if name not in self._components:
            component = self._components[name] = {}  # there already if the message holds itself
            component.update(make())
        return {"$ref": f"#/components/schemas/{name}"}


class Requests(Messages):
    """What callers send: nothing need be there but what its comment calls required.

    A message within a request is named with `Input` at the end.
    """

    scalars: ClassVar[Mapping[int, Schema]] = {
        **Messages.scalars,
        FieldDescriptor.TYPE_INT64: _integer(64)
        | {"type": ["integer", "string"], "pattern": "^-?[0-9]{1,19}$"},
    }
    map_value: ClassVar[Schema] = {"type": ["string", "number", "boolean"]}

    def message(self, message: Descriptor) -> Schema:
        """A reference to the message within a request."""
        return self._component(f"{message.name}Input", lambda: self._object(message))

    def body(self, message: Descriptor, *, without: Collection[str]) -> Schema:
        """A request's body, in both forms where there are two; some fields come by its path."""
        whole = self._component(message.name, lambda: self._object(message, without))
        if "execution_content" not in message.fields_by_name:
            return whole
        old = self._component(f"{message.name}OldForm", lambda: self._old_form(message, without))
        return {"anyOf": [whole, old]}

    def is_required(self, field: FieldDescriptor) -> bool:
        """Whether a request without this field is refused."""
        return self._comments[field.full_name].endswith(_REQUIRED)

    def _object(self, message: Descriptor, without: Collection[str] = ()) -> Schema:
        fields = [field for field in message.fields if field.name not in without]
        return {
            "type": "object",
            "description": self._comments[message.full_name],
            "properties": {field.json_name: self.field(field) for field in fields},
            "required": [field.json_name for field in fields if self.is_required(field)],
        }

    def _old_form(self, message: Descriptor, without: Collection[str]) -> Schema:
        form = self._object(message, {"execution_content", *without})
        return form | {
            "description": "The same in the form of earlier clients.",
            "properties": {**_OLD_FORM, **form["properties"]},
            "required": ["executionCode", "executeApplicationName"],
        }


class Answers(Messages):
    """What callers read: every field is there, and null where it is unset."""

    def message(self, message: Descriptor) -> Schema:
        """A reference to the message as answers show it."""
        return self._component(message.name, lambda: self._object(message))

    def field(self, field: FieldDescriptor) -> Schema:
        """A field as answers show it."""
        other = _OTHERWISE.get(field.full_name)
        if other is not None:
            return other | {"description": self._comments[field.full_name]}
        schema = super().field(field)
        unset = field.has_presence or (field.enum_type is not None and not field.is_repeated)
        return nullable(schema) if unset else schema

    def _object(self, message: Descriptor) -> Schema:
        shown = [field for field in message.fields if field.full_name not in HIDDEN]
        fields = {field.json_name: self.field(field) for field in shown}
        shape = _measured if "yarnMetrics" in fields else closed
        schema = shape(fields) | {"description": self._comments[message.full_name]}
        for field in shown:
            if field.full_name in LEFT_OUT:
                schema["required"].remove(field.json_name)
        return schema


def _measured(fields: Mapping[str, Schema]) -> Schema:
    """With metrics, or null by another name while there are none."""
    others = {name: field for name, field in fields.items() if name != "yarnMetrics"}
    without = closed({**others, "yarnResource": {"type": "null"}})
    return {"anyOf": [closed(fields), without]}


def error_data() -> Schema:
    """What an answer other than ok tells beside its message."""
    violation = closed({"field": TEXT, "description": TEXT})
    return {
        "type": "object",
        "properties": {
            "errCode": _integer(32) | {"description": "A documented error number."},
            "reason": TEXT | {"description": "A stable word for programs."},
            "violations": listed(violation)
            | {"description": "Each wrong field, as the caller spells it, and what to change."},
        },
    }


def _kill_message() -> Schema:
    """One job's answer of killJobs: killed, or why not."""
    ids = {"execID": TEXT, "taskID": nullable(_integer(64))}
    refused = error_data()
    refused["properties"] |= ids
    return envelope({"anyOf": [closed(ids), refused]}, status=[0, 1, 3, -1])


# Fields that answers show otherwise than the message has them; `render` does that.
_OTHERWISE: Mapping[str, Schema] = {
    "entrance.v1.LogResponse.log": {"anyOf": [listed(TEXT) | {"minItems": 4, "maxItems": 4}, TEXT]},
    "entrance.v1.KillJobsResponse.messages": listed(_kill_message()),
    "entrance.v1.OpenFileResponse.file_content": listed(listed(TEXT)),
    "entrance.v1.ReadResultResponse.rows": listed(listed(nullable(TEXT))),
}
