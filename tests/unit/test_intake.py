"""What a run reports is made durable, also where the disk does not take it at once."""

from __future__ import annotations

from pathlib import Path

from entrance.engine.v1 import engine_pb2 as pb
from entrance_server.domain.job import Job
from entrance_server.logs import LogStore, LogUnavailable
from entrance_server.results import ResultFiles
from entrance_server.service.intake import Intake
from entrance_server.service.job_log import JobLog, Level
from entrance_server.service.jobs import Jobs
from entrance_server.service.live import LiveJob, LiveJobs
from entrance_server.service.runs import ActiveRun
from entrance_server.store import SqlStore
from tests.unit.specs import spec


class FullOnce(JobLog):
    """A job log for whose first plain line there is no room."""

    has_room = False

    async def line(self, job: Job, level: Level, text: str) -> None:
        if not self.has_room:
            self.has_room = True
            raise LogUnavailable("No space left on device")
        await super().line(job, level, text)


async def test_a_result_that_is_not_kept_is_told_once_there_is_room(tmp_path: Path) -> None:
    async with (
        SqlStore(f"sqlite:///{tmp_path / 'store.db'}") as store,
        LogStore(tmp_path) as logs,
        ResultFiles(tmp_path) as results,
    ):
        job, _ = await store.create_job(spec(), instance="here:9104")
        intake = Intake(
            jobs=Jobs(store=store, live=LiveJobs(), logs=logs),
            store=store,
            logs=logs,
            results=results,
            job_log=FullOnce(logs, max_bytes=1000),
            max_result_bytes=1000,
        )
        event = pb.Event(seq=1, result=pb.ResultEvent(file_name="not there"))
        await intake.take(ActiveRun(LiveJob(job)), [event], after=0)
        log = await logs.read(job.task_id, 1, max_lines=10, max_bytes=1000)
    assert b"ERROR Result 0 was not kept" in log.text
