"""A job with every field set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from entrance_server.domain.job import Job, JobError, JobParams, JobSpec
from entrance_server.domain.status import JobStatus

NOON = datetime(2024, 2, 29, 12, 0, 0, 250_000, tzinfo=UTC)
JOB = Job(
    task_id=2**53 + 1,
    spec=JobSpec(
        submit_user="root",
        execute_user="alice",
        creator="IDE",
        engine_type="duckdb",
        run_type="sql",
        code="SELECT 'é'",
        params=JobParams({"v": "1"}, {"s": "2"}, {"r": "3"}, {"p": "4"}),
        labels={"engineType": "duckdb"},
        source={"scriptPath": "x.sql"},
        priority=-5,
    ),
    instance="127.0.0.1:9104",
    status=JobStatus.FAILED,
    create_time=NOON,
    update_time=NOON + timedelta(seconds=9),
    paused=True,
    progress=0.25,
    session_id="s-1",
    start_time=NOON + timedelta(seconds=1),
    end_time=NOON + timedelta(seconds=2),
    error=JobError(20051, "It fails."),
    result_count=3,
    attempt=2,
    removed_time=NOON + timedelta(days=1),
)
