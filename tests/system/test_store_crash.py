"""What the store has answered is there after its process was killed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from entrance_server.domain.job import JobSpec
from entrance_server.store import SqlStore
from tests.system.crashes import answers_until_killed

INSTANCE = "here:9104"
SPEC = JobSpec("alice", "alice", "IDE", "shell", "sh", "true")

# Creates jobs for ever, twenty at a time, and prints the number of each that was answered.
CREATE_JOBS = """
import asyncio, sys
from entrance_server.domain.job import JobSpec
from entrance_server.store import SqlStore

SPEC = JobSpec("alice", "alice", "IDE", "shell", "sh", "true")

async def create(store):
    while True:
        job, _ = await store.create_job(SPEC, instance="here:9104")
        print(job.task_id, flush=True)

async def main():
    async with SqlStore(sys.argv[1]) as store:
        await asyncio.gather(*(create(store) for _ in range(20)))

asyncio.run(main())
"""


@pytest.mark.parametrize("enough", [1, 300, 600])
async def test_every_answered_job_survives_a_kill(tmp_path: Path, enough: int) -> None:
    url = f"sqlite:///{tmp_path / 'entrance.db'}"
    lines = await asyncio.to_thread(answers_until_killed, CREATE_JOBS, url, enough=enough)
    answered = {int(line) for line in lines}
    async with SqlStore(url) as store:
        stored = {job.task_id for job in await store.unfinished_jobs(INSTANCE)}
        job, _ = await store.create_job(SPEC, instance=INSTANCE)
    assert answered <= stored
    assert job.task_id > max(stored)
