"""What is sent of files that go while they are sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from entrance_server.domain.job import Principal
from entrance_server.logs import LogStore, LogUnavailable
from entrance_server.results import ResultFiles
from entrance_server.service.files import LOG_PIECE, FileService
from entrance_server.service.jobs import Jobs
from entrance_server.service.live import LiveJobs
from entrance_server.store import SqlStore
from tests.unit.specs import spec


async def test_a_log_that_is_removed_while_it_is_sent_does_not_seem_whole(tmp_path: Path) -> None:
    unused: Any = None
    async with (
        SqlStore(f"sqlite:///{tmp_path / 'store.db'}") as store,
        LogStore(tmp_path) as logs,
        ResultFiles(tmp_path) as results,
    ):
        job, _ = await store.create_job(spec(), instance="here:9104")
        await logs.append(job.task_id, b"x\n" * LOG_PIECE, LOG_PIECE)
        service = FileService(
            jobs=Jobs(store=store, live=LiveJobs(), logs=logs),
            store=store,
            logs=logs,
            files=results,
            exports=unused,
            limits=unused,
        )
        owner = Principal(job.spec.execute_user, is_admin=False)
        _, pieces = await service.download(owner, f"entrance:///{job.task_id}/log")
        assert await anext(pieces)
        await logs.remove(job.task_id)
        with pytest.raises(LogUnavailable):
            await anext(pieces)
