"""Which jobs a request names, told by the fields of its message.

A request names a job by `id` (with `task_id` in its stead where the id is not known), by the `path`
of its log, or by `id_list` several of them. One that names a result set, by `index` or by its path,
names no job here: what is in a result set is in the store and in files that all servers share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from google.protobuf.descriptor import Descriptor

from entrance_server.domain import paths
from entrance_server.domain.errors import EntranceError
from entrance_server.domain.ids import task_id_of

Names: TypeAlias = Sequence[int]
"""The numbers that may be meant, the first that is known counts; none for what is malformed."""

Namer: TypeAlias = Callable[[Any], Names]


def namer_of(request: Descriptor) -> Namer | None:
    """What reads the job out of a request; None for one that names none, or several."""
    fields = request.fields_by_name
    if names_several(request) or "index" in fields:
        return None
    if "id" in fields:
        return _by_id_or_number if "task_id" in fields else _by_id
    return _by_path if "path" in fields else None


def names_several(request: Descriptor) -> bool:
    """Whether a request has a list of jobs."""
    return "id_list" in request.fields_by_name


def names_of(id: str, task_id: int = 0) -> Names:
    """The numbers in an id, and in the number that stands in its stead."""
    try:
        number = task_id_of(id)
    except EntranceError:
        return ()
    return (number, task_id) if task_id > 0 else (number,)


def _by_id(request: Any) -> Names:
    return names_of(request.id)


def _by_id_or_number(request: Any) -> Names:
    return names_of(request.id, request.task_id)


def _by_path(request: Any) -> Names:
    try:
        place = paths.parse(request.path)
    except EntranceError:
        return ()
    return (place.task_id,) if isinstance(place, paths.LogPath) else ()
