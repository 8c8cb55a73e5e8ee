"""Headers of a file that is sent: a type and a file name that nobody can misuse."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from typing import cast
from urllib.parse import quote

from google.protobuf.message import Message

from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import files_pb2

_ARROW = "application/vnd.apache.arrow.stream"
_UNKNOWN = "application/octet-stream"
_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(; ?[\w-]+=[\w-]+)*", re.ASCII)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_ID = 100  # characters

# A result that is a page must not run as one of ours, wherever it is opened.
_HARMLESS = {"Content-Security-Policy": "sandbox; default-src 'none'"}


def headers_of(request: Message, first: Message) -> Mapping[str, str]:
    """The headers of a file, told by what was asked for and by the first message of its stream."""
    if isinstance(first, pb.StreamResultResponse):
        media_type = _harmless_type(first.result_set.media_type)
        id = cast(pb.StreamResultRequest, request).id[:_LONGEST_ID]
        name = f"{id}-{first.result_set.index}{_ending(media_type)}"
        disposition = f'attachment; filename="{_plain(name)}"'
    else:
        file = cast(files_pb2.DownloadResponse | files_pb2.ResultsetToExcelResponse, first)
        media_type = _harmless_type(file.media_type)
        disposition = _named(file.file_name)
    return {"Content-Type": media_type, "Content-Disposition": disposition, **_HARMLESS}


def _named(name: str) -> str:
    """A name in plain letters and, where it has others, beside it as RFC 8187 writes it."""
    plain = _plain(name)
    exact = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{exact}'


def _plain(name: str) -> str:
    return _UNSAFE.sub("_", name)


def _harmless_type(media_type: str) -> str:
    return _with_charset(media_type) if _TYPE.fullmatch(media_type) else _UNKNOWN


def _ending(media_type: str) -> str:
    bare = media_type.partition(";")[0]
    return ".arrows" if bare == _ARROW else mimetypes.guess_extension(bare) or ".bin"


def _with_charset(media_type: str) -> str:
    is_bare_text = media_type.startswith("text/") and "charset=" not in media_type
    return f"{media_type}; charset=utf-8" if is_bare_text else media_type
