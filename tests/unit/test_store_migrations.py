"""Revisions of the schema: what an older release wrote is there after each."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from entrance_server.store import SqlStore
from entrance_server.store.migration import migrate
from tests.unit.specs import DATABASES

_JOB = """
INSERT INTO jobs (instance, status, paused, progress, submit_user, execute_user, creator,
  engine_type, run_type, code, params, labels, source, priority, create_time, update_time,
  result_count, attempt, progress_info, paused_for, has_files)
VALUES ('here:9104', 'Inited', false, 0, 'alice', 'alice', 'IDE', 'duckdb', 'sql', 'SELECT 1',
  '{"variable":{},"startup":{},"runtime":{},"special":{}}', '{}', '{}', 0, 1, 1, 0, 1, '[]', 0,
  true)
"""


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return DATABASES[request.param](tmp_path)


def at_revision(url: str, revision: str, *statements: str) -> None:
    """Makes a database as the release of a revision left it, with data in it."""
    engine = create_engine(url)
    with engine.begin() as connection:
        migrate(connection, revision)
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


async def test_owners_of_jobs_are_the_instances_that_accepted_them(url: str) -> None:
    at_revision(url, "0001", _JOB)
    async with SqlStore(url) as store:
        (job,) = await store.unfinished_jobs("here:9104")
    assert (job.owner, job.instance, job.spec.code) == ("here:9104", "here:9104", "SELECT 1")
