"""What servers of one store tell each other about a group, whose limits hold over all of them."""

from __future__ import annotations

import json

from entrance_server.domain.job import GroupKey

_PLACE = "place "


def lock_of(group: GroupKey) -> str:
    """The name of what is held by who counts the jobs of a group and then adds one."""
    return f"group {_key(group)}"


def place_freed(group: GroupKey) -> str:
    """The notice that one more job of a group may run."""
    return _PLACE + _key(group)


def freed_in(notice: str) -> GroupKey | None:
    """The group whose notice `place_freed` gave; None for any other notice."""
    return GroupKey(*json.loads(notice[len(_PLACE) :])) if notice.startswith(_PLACE) else None


def _key(group: GroupKey) -> str:
    return json.dumps([group.user, group.creator, group.engine_type])
