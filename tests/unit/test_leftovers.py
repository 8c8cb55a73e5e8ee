"""Files of sessions that another server took over go when the session does."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from entrance_server.domain.job import GroupKey, SessionRecord
from entrance_server.service.leftovers import Leftovers
from entrance_server.store import SqlStore
from tests.support.waiting import eventually


class Files:
    """What this server has files of."""

    def __init__(self, *sessions: str) -> None:
        self.left = set(sessions)

    async def found(self) -> set[str]:
        return set(self.left)

    async def end_stray(self, session_id: str) -> None:
        self.left.discard(session_id)


def record(session_id: str, owner: str) -> SessionRecord:
    group = GroupKey("alice", "IDE", "shell")
    now = datetime.now(UTC)
    return SessionRecord(session_id, group, "unix:/x", 1, 1.0, now, owner=owner)


async def test_files_of_a_session_go_when_the_server_that_took_it_over_has_ended_it(
    tmp_path: Path,
) -> None:
    files = Files("theirs", "mine", "warm")
    async with SqlStore(f"sqlite:///{tmp_path / 'entrance.db'}") as store:
        await store.put_session(record("theirs", "other"))
        await store.put_session(record("mine", "here"))
        async with Leftovers(store=store, files=files, instance="here", interval=0.01):
            assert files.left == {"theirs", "mine", "warm"}
            await store.remove_session("theirs")
            await eventually(lambda: "theirs" not in files.left, "its files are removed")
            await store.remove_session("mine")
    assert files.left == {"mine", "warm"}
