"""Answers of gRPC, REST and command line in one form, so that they can be compared."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

_TIMES = ("createTime", "startTime", "endTime", "expireTime")
_LONG = ("taskID", "fromLine", "rowCount", "sizeBytes")
_ENUM = re.compile(r"(JOB_STATUS|RESULT_TYPE)_([A-Z_]+)")


def normal(answer: Any) -> Any:
    """An answer with short enum names, numbers as numbers, times as times, and nothing for null."""
    if isinstance(answer, Message):
        answer = MessageToDict(answer, always_print_fields_with_no_presence=True)
    if isinstance(answer, Mapping):
        return {
            name: _value(name, value)
            for name, value in answer.items()
            if value is not None and value != ""
        }
    if isinstance(answer, str) and (enum := _ENUM.fullmatch(answer)):
        kind, word = enum.groups()
        return word.title().replace("_", "") if kind == "JOB_STATUS" else word.lower()
    if isinstance(answer, Sequence) and not isinstance(answer, str):
        return [normal(item) for item in answer]
    return answer


def _value(name: str, value: Any) -> Any:
    if name in _TIMES:
        return datetime.fromisoformat(value)
    return int(value) if name in _LONG else normal(value)
