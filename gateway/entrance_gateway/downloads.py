"""Headers of a streamed result: a type and a file name that nobody can misuse."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping

from entrance.v1 import entrance_pb2 as pb

_ARROW = "application/vnd.apache.arrow.stream"
_UNKNOWN = "application/octet-stream"
_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(; ?[\w-]+=[\w-]+)*", re.ASCII)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_ID = 100  # characters

# A result that is a page must not run as one of ours, wherever it is opened.
_HARMLESS = {"Content-Security-Policy": "sandbox; default-src 'none'"}


def headers_of(job_id: str, result: pb.ResultSet) -> Mapping[str, str]:
    """The headers with which a result set is sent."""
    media_type = (
        _with_charset(result.media_type) if _TYPE.fullmatch(result.media_type) else _UNKNOWN
    )
    name = f"{_UNSAFE.sub('_', job_id[:_LONGEST_ID])}-{result.index}{_ending(media_type)}"
    return {
        "Content-Type": media_type,
        "Content-Disposition": f'attachment; filename="{name}"',
        **_HARMLESS,
    }


def _ending(media_type: str) -> str:
    bare = media_type.partition(";")[0]
    return ".arrows" if bare == _ARROW else mimetypes.guess_extension(bare) or ".bin"


def _with_charset(media_type: str) -> str:
    is_bare_text = media_type.startswith("text/") and "charset=" not in media_type
    return f"{media_type}; charset=utf-8" if is_bare_text else media_type
