"""What a server goes on with of one that is gone."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any, cast

import grpc.aio

from entrance_server.domain.job import Job, SessionRecord
from entrance_server.domain.status import JobStatus
from entrance_server.engines.session import EngineSession
from entrance_server.service.live import LiveJob, LiveJobs
from entrance_server.service.recovery import Recovery
from entrance_server.store.port import Inheritance
from entrance_server.tenure import Tenure
from tests.unit.rpc_jobs import JOB

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def session(name: str) -> SessionRecord:
    return SessionRecord(
        session_id=name,
        group=JOB.spec.group,
        options={},
        only_for=None,
        address="unix:/nowhere",
        pid=1,
        process_start=0.0,
        create_time=NOW,
        owner="gone",
        host="",
        directory="",
    )


def job(task_id: int, status: JobStatus, session_id: str | None = None) -> Job:
    return dataclasses.replace(
        JOB, task_id=task_id, status=status, session_id=session_id, end_time=None, error=None
    )


class Runner:
    """One that lives."""

    session_id = "whole"

    def channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel("unix:/nowhere")

    def is_alive(self) -> bool:
        return True


class Launcher:
    """Finds every runner but one, at which it fails as nobody foresaw."""

    def attach(self, record: SessionRecord) -> Runner:
        if record.session_id == "broken":
            raise RuntimeError("unforeseen")
        return Runner()


class Pool:
    """Takes what it is given."""

    def adopt(self, session: EngineSession, *, busy: bool) -> None:
        pass


class Logs:
    """Logs that are here already."""

    async def take_over(self, task_id: int) -> None:
        pass


class Turns:
    """Which jobs run on, wait for their turn, or were lost."""

    def __init__(self) -> None:
        self.resumed: list[int] = []
        self.accepted: list[int] = []
        self.lost: list[int] = []

    def resume_run(self, live: LiveJob, session: EngineSession) -> None:
        self.resumed.append(live.job.task_id)

    def accept(self, live: LiveJob) -> None:
        self.accepted.append(live.job.task_id)

    async def fail_lost(self, live: LiveJob) -> None:
        self.lost.append(live.job.task_id)
        live.job = dataclasses.replace(live.job, status=JobStatus.FAILED)


async def test_a_session_that_can_not_be_recovered_holds_up_none_of_the_others() -> None:
    turns = Turns()
    recovery = Recovery(
        instance="heir",
        tenure=Tenure(),
        store=cast(Any, None),
        live=LiveJobs(),
        logs=cast(Any, Logs()),
        dispatcher=cast(Any, turns),
        executor=cast(Any, turns),
        pool=cast(Any, Pool()),
        launcher=cast(Any, Launcher()),
        results=cast(Any, None),
    )
    await recovery.inherit(
        Inheritance(
            "gone",
            [
                job(1, JobStatus.RUNNING, "broken"),
                job(2, JobStatus.RUNNING, "whole"),
                job(3, JobStatus.INITED),
            ],
            [session("broken"), session("whole")],
        )
    )
    assert (turns.resumed, turns.lost, turns.accepted) == ([2], [1], [3])
