"""What the store has answered is there after its process was killed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from entrance_server.domain.job import JobSpec
from entrance_server.store import SqlStore

ANSWERS = 300
WRITERS = 20


@pytest.mark.parametrize("round_", range(3))
async def test_every_answered_job_survives_a_kill(tmp_path: Path, round_: int) -> None:
    url = f"sqlite:///{tmp_path / 'entrance.db'}"
    answered = await asyncio.to_thread(_answers_until_killed, url, ANSWERS * (round_ + 1))
    assert len(answered) >= ANSWERS
    async with SqlStore(url) as store:
        stored = {job.task_id for job in await store.unfinished_jobs("here:9104")}
        job, _ = await store.create_job(_spec(), instance="here:9104")
    assert answered <= stored
    assert job.task_id > max(stored)


def _answers_until_killed(url: str, enough: int) -> set[int]:
    with subprocess.Popen([sys.executable, __file__, url], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        answers = [child.stdout.readline() for _ in range(enough)]
        child.kill()
        answers += child.stdout.readlines()
    return {int(line) for line in answers if line.endswith(b"\n")}


def _spec() -> JobSpec:
    return JobSpec("alice", "alice", "IDE", "shell", "sh", "true")


async def _create_jobs_for_ever(url: str) -> None:
    async with SqlStore(url) as store, asyncio.TaskGroup() as writers:
        for _ in range(WRITERS):
            writers.create_task(_create_jobs(store))


async def _create_jobs(store: SqlStore) -> None:
    while True:
        job, _ = await store.create_job(_spec(), instance="here:9104")
        print(job.task_id, flush=True)


if __name__ == "__main__":
    asyncio.run(_create_jobs_for_ever(sys.argv[1]))
