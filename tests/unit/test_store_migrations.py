"""Revisions of the schema: what an older release wrote is there after each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, create_engine, select, text

from entrance_server.domain.job import GroupKey, JobError, JobParams, ProgressInfo, ResultType
from entrance_server.domain.status import JobStatus
from entrance_server.store import SqlStore
from entrance_server.store.connect import open_engines
from entrance_server.store.migration import migrate, revisions
from entrance_server.store.revision import NEWEST
from entrance_server.store.schema import jobs, metadata
from tests.unit.earlier_rows import ROWS

_JOB = """
INSERT INTO jobs (instance, status, paused, progress, submit_user, execute_user, creator,
  engine_type, run_type, code, params, labels, source, priority, create_time, update_time,
  result_count, attempt, progress_info, paused_for, has_files)
VALUES ('here:9104', 'Inited', false, 0, 'alice', 'alice', 'IDE', 'duckdb', 'sql', 'SELECT 1',
  '{"variable":{},"startup":{},"runtime":{},"special":{}}', '{}', '{}', 0, 1, 1, 0, 1, '[]', 0,
  true)
"""


def at_revision(url: str, revision: str, *statements: str) -> None:
    """Makes a database as the release of a revision left it, with data in it."""
    engine = create_engine(url)
    with engine.begin() as connection:
        migrate(connection, revision)
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


async def test_the_migrations_make_the_schema_that_the_statements_use(url: str) -> None:
    async with SqlStore(url):
        pass
    engine = create_engine(url)
    with engine.connect() as connection:
        options = {"compare_type": True, "include_object": _is_of(connection)}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def _is_of(connection: Connection) -> Callable[..., bool]:
    """Leaves out what there is for another kind of database."""
    shared = {index for index in jobs.indexes if index.name == "ix_jobs_load"}
    return lambda item, *_: connection.dialect.name == "postgresql" or item not in shared


def test_the_newest_revision_is_known_without_alembic() -> None:
    assert revisions()[-1] == NEWEST


def test_a_database_of_the_newest_revision_is_opened_without_alembic(url: str) -> None:
    assert [_is_opened_by_alembic(url) for _ in range(2)] == ["True", "False"]


def _is_opened_by_alembic(url: str) -> str:
    code = """
import asyncio, sys
from entrance_server.store import SqlStore

async def opened():
    async with SqlStore(sys.argv[1]):
        print("alembic" in sys.modules)

asyncio.run(opened())
"""
    command = [sys.executable, "-c", code, url]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


async def test_owners_of_jobs_are_the_instances_that_accepted_them(url: str) -> None:
    at_revision(url, "0001", _JOB)
    async with SqlStore(url) as store:
        (job,) = await store.unfinished_jobs("here:9104")
    assert (job.owner, job.instance, job.spec.code) == ("here:9104", "here:9104", "SELECT 1")


def test_files_of_earlier_jobs_are_here_alone(url: str) -> None:
    at_revision(url, "0002", _JOB)
    at_revision(url, "0003")
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT archive_time, has_local FROM jobs")).all()
        archives = connection.execute(text("SELECT count(*) FROM archives")).scalar_one()
    engine.dispose()
    assert [(time, bool(local)) for time, local in found] == [(None, True)]
    assert archives == 0


async def test_files_of_earlier_sessions_are_where_their_servers_know(url: str) -> None:
    with filled(url, "0003"):
        pass
    async with SqlStore(url) as store:
        (session,) = await store.list_sessions()
    assert session.directory == ""


@contextmanager
def filled(url: str, revision: str) -> Iterator[Connection]:
    """A database of a revision with rows in every table, each written when its table was new."""
    engines = open_engines(url, readers=1)
    with engines.writer.begin() as connection:
        for step in revisions()[: revisions().index(revision) + 1]:
            migrate(connection, step)
            tables = MetaData()
            tables.reflect(connection)
            for name, rows in ROWS.get(step, {}).items():
                connection.execute(tables.tables[name].insert(), rows)
        empty = [name for name, rows in content(connection).items() if not rows]
        assert not empty, "ROWS has a row for each table of each revision"
        yield connection
    engines.dispose()


def content(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table."""
    found = MetaData()
    found.reflect(connection)
    return {
        table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
        for table in found.sorted_tables
        if table.name != "alembic_version"
    }


@pytest.mark.parametrize("revision", revisions())
def test_every_value_of_every_earlier_schema_is_kept(url: str, revision: str) -> None:
    with filled(url, revision) as connection:
        before = content(connection)
        migrate(connection)
        after = content(connection)
    for table, rows in before.items():
        kept = [{name: row[name] for name in rows[0]} for row in after[table]]
        assert kept == rows, table


@pytest.mark.parametrize("revision", revisions())
async def test_what_every_earlier_schema_held_can_be_read(url: str, revision: str) -> None:
    with filled(url, revision):
        pass
    async with SqlStore(url) as store:
        ended = await store.get_job(7)
        assert ended
        assert (ended.status, ended.error) == (JobStatus.FAILED, JobError(40300, "no"))
        assert ended.spec.notes == ()
        assert (ended.spec.code, ended.spec.params) == ("SELECT 'ü'", JobParams({"a": "1"}))
        assert ended.progress_info == (ProgressInfo("1", 1, 0, 0, 1),)
        assert ended.paused_for == timedelta(seconds=0.5)
        (result,) = await store.list_results(7, limit=9)
        assert (result.type, result.size_bytes) == (ResultType.TABLE, 9)
        (session,) = await store.list_sessions()
        assert (session.group, session.pid) == (GroupKey("alice", "IDE", "duckdb"), 4711)
        assert not await store.is_online("here:9104")
        token, user = await store.find_token(b"secret"), await store.get_user("alice")
        assert token
        assert user
        assert (token.for_users, user.login_count) == (("alice",), 3)
        assert await store.find_login_session(b"ticket")


@pytest.mark.parametrize("revision", revisions())
async def test_jobs_of_every_earlier_schema_go_on(url: str, revision: str) -> None:
    with filled(url, revision):
        pass
    async with SqlStore(url) as store:
        (waits,) = await store.unfinished_jobs()
        assert (waits.task_id, waits.paused) == (8, True)
        done = await store.transition(8, JobStatus.CANCELLED, expect={JobStatus.SCHEDULED})
        assert done.status is JobStatus.CANCELLED
        new, _ = await store.create_job(waits.spec, instance="here:9104")
        assert new.task_id not in (7, 8)
