"""The end of a campaign: lets every job end, reads everything once more, stops, looks for rests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from entrance.client import AsyncClient, Job, JobStatus
from tests.system.campaign import jobs
from tests.system.campaign.client import Client, GrpcClient
from tests.system.campaign.history import Final, FinalLog, History, Plan, Residue
from tests.system.campaign.installation import Installation
from tests.system.campaign.proxy import HOST

ENDING = 60.0  # seconds for what still runs
STOPPING = 130.0  # seconds for processes to go; more than the orphan timeout
AT_ONCE = 8  # jobs that are read at once
UNFINISHED = [status for status in JobStatus if not status.is_final]


async def finish(installation: Installation, history: History) -> None:
    """Takes a campaign to its end; faults and traffic are over."""
    for crash in installation.crashes:
        history.add(crash)
    async with _administrator(installation, history) as (typed, client):
        await _end_jobs(typed, client, history)
        await _read_everything(typed, client, history)
    for status in await installation.stop():
        if status != 0:
            history.add(Residue(f"a program ended with status {status}"))
    await _look_for_rests(installation, history)


@asynccontextmanager
async def _administrator(
    installation: Installation, history: History
) -> AsyncIterator[tuple[AsyncClient, Client]]:
    port, token = installation.servers[0].proxy.upstream, installation.admin_token
    client = GrpcClient("administrator", history, port=port, token=token)
    async with AsyncClient(f"{HOST}:{port}", token=token) as typed:
        try:
            yield typed, client
        finally:
            await client.close()


async def _end_jobs(typed: AsyncClient, client: Client, history: History) -> None:
    """Lets go on what was paused, kills what never ends by itself, and waits for the rest."""
    plans = {plan.token: plan for plan in history.of(Plan)}
    deadline = time.monotonic() + ENDING
    while left := [job async for job in typed.list_jobs(statuses=UNFINISHED)]:
        if time.monotonic() > deadline:
            return
        for job in left:
            if job.paused:
                await client.control("resume", job.task_id)
            if plans[job.source["campaign"]].kind == jobs.ENDLESS:
                await client.control("kill", job.task_id)
        await asyncio.sleep(0.5)


async def _read_everything(typed: AsyncClient, client: Client, history: History) -> None:
    async def read(job: Job) -> None:
        async with turn:
            history.add(_final(job))
            history.add(FinalLog(job.task_id, await _whole_log(client, job)))
            for index in range(job.result_count):
                await client.rows(job.task_id, index)

    turn = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as tasks:
        async for job in typed.list_jobs():
            tasks.create_task(read(job))


def _final(job: Job) -> Final:
    return Final(
        task_id=job.task_id,
        token=job.source["campaign"],
        status=str(job.status),
        error_code=job.error.code if job.error else 0,
        error=job.error.message if job.error else "",
        session_id=job.session_id,
        created=job.create_time.timestamp() if job.create_time else 0.0,
        ended=job.end_time.timestamp() if job.end_time else time.time(),
        results=job.result_count,
        started=job.start_time.timestamp() if job.start_time else 0.0,
    )


async def _whole_log(client: Client, job: Job) -> list[str]:
    texts: list[str] = []
    while (answer := await client.log(job.task_id, len(texts) + 1, "final")).is_ok:
        if not answer.value.texts:
            break
        texts += answer.value.texts
    return texts


async def _look_for_rests(installation: Installation, history: History) -> None:
    """Tells what is still there once everything had its time to go."""
    deadline = time.monotonic() + STOPPING
    while found := await asyncio.to_thread(_rests, installation):
        if time.monotonic() > deadline:
            for what in found:
                history.add(Residue(what))
            return
        await asyncio.sleep(0.5)


def _rests(installation: Installation) -> list[str]:
    footprint, files = installation.footprint, installation.files_dir
    processes = [f"process {one}" for one in footprint.processes()]  # even of one that goes
    staging = [path for path in (files / "jobs").rglob(".*") if path.is_dir()]
    sessions = [
        path for server in installation.servers for path in (server.data_dir / "sessions").glob("*")
    ]
    strays = [
        path for path in footprint.stray_files() if not _waits_for_sockets(path, installation)
    ]
    left = [*staging, *strays, *sessions]
    return [*processes, *(f"file {path}" for path in left)]


def _waits_for_sockets(path: Path, installation: Installation) -> bool:
    """Whether it is a server's empty directory, left since others had taken its runners over."""
    empty = path.parent == installation.footprint.scratch and not any(path.glob("*"))
    return empty and path.name.startswith("entrance-") and len(installation.servers) > 1
