"""What the store does with an SQLite file: privacy, schema, failures, one commit for many."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, Select, UpdateBase, create_engine, event, make_url

from entrance_server.domain.status import ACTIVE, JobStatus
from entrance_server.store import SqlStore, statements
from entrance_server.store.port import JobFilter, SchemaTooNew, StoreUnavailable
from tests.unit.specs import largest_file, spec


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "entrance.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@contextmanager
def other_writer(path: Path) -> Iterator[None]:
    """Another process that is in the middle of a write."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


async def create(store: SqlStore) -> int:
    job, _ = await store.create_job(spec(), instance="here:9104")
    return job.task_id


async def test_the_database_is_its_owners_alone(url: str, path: Path) -> None:
    path.touch(mode=0o644)
    async with SqlStore(url) as store:
        await create(store)
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == {name: 0o600 for name in ("entrance.db", "entrance.db-wal", "entrance.db-shm")}


async def test_a_schema_of_a_newer_release_is_refused_and_kept(url: str, path: Path) -> None:
    async with SqlStore(url):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaTooNew, match="revision 9999"):
        await SqlStore(url).open()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [("9999",)]


async def test_writes_that_wait_are_committed_together(url: str, path: Path) -> None:
    async with SqlStore(url) as store:
        commits = 0

        def count(_: Connection) -> None:
            nonlocal commits
            commits += 1

        event.listen(Engine, "commit", count)
        try:
            with other_writer(path):
                waiting = [asyncio.create_task(create(store)) for _ in range(100)]
                await asyncio.sleep(0)  # each has handed over its write
            await asyncio.gather(*waiting)
        finally:
            event.remove(Engine, "commit", count)
    assert commits in (1, 2)  # those that the writer had taken, and all the rest


async def test_a_locked_database_is_unavailable_and_serves_again(url: str, path: Path) -> None:
    async with SqlStore(f"{url}?timeout=0.05") as store:
        with other_writer(path):
            outcomes = await asyncio.gather(create(store), create(store), return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 2
            assert await store.get_job(1) is None  # reads go on
        assert await create(store) == 1


async def test_a_full_disk_is_unavailable_and_loses_nothing(url: str, path: Path) -> None:
    async with SqlStore(url) as store:
        first = await create(store)
        with largest_file(4096), pytest.raises(StoreUnavailable) as told:
            await store.create_job(spec(code="x" * 100_000), instance="here:9104")
        assert "xxx" not in str(told.value)
        assert await create(store) == first + 1
        assert [(job.task_id) for job in await store.unfinished_jobs("here:9104")] == [1, 2]


async def test_numbers_of_jobs_that_were_removed_are_not_given_again(url: str, path: Path) -> None:
    async with SqlStore(url) as store:
        await create(store)
        await create(store)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("DELETE FROM jobs")
        assert await create(store) == 3
        assert sorted(await asyncio.gather(*(create(store) for _ in range(3)))) == [4, 5, 6]


async def test_a_file_that_is_no_database_is_unavailable(url: str, path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        await SqlStore(url).open()


async def test_a_directory_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="No such file"):
        await SqlStore(f"sqlite:///{tmp_path / 'none' / 'entrance.db'}").open()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "nosuch://x", "nonsense"])
async def test_a_url_that_names_no_database_tells_what_is_wrong(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL is wrong|names no file|can.t be nosuch"):
        await SqlStore(url).open()


@pytest.mark.parametrize(
    "statement",
    [name for name, value in vars(statements).items() if isinstance(value, UpdateBase | Select)],
)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_every_statement_is_one_that_the_database_takes(statement: str, database: str) -> None:
    dialect = make_url(f"{database}://").get_dialect()()
    assert str(getattr(statements, statement).compile(dialect=dialect))


DAY = datetime(2026, 1, 1, tzinfo=UTC)


COMMON: dict[str, JobFilter] = {
    "of a user": JobFilter(execute_user="alice"),
    "of some days": JobFilter(execute_user="alice", create_time_from=DAY, create_time_to=DAY),
    "that go on": JobFilter(execute_user="alice", statuses=ACTIVE),
    "of an application": JobFilter(execute_user="alice", engine_type="shell", creator="IDE"),
    "that failed": JobFilter(statuses=frozenset({JobStatus.FAILED})),
    "of everybody": JobFilter(create_time_from=DAY, create_time_to=DAY),
    "of a session": JobFilter(session_id="a"),
    "of a number": JobFilter(task_id=7),
}


@pytest.mark.parametrize("where", COMMON.values(), ids=COMMON)
async def test_no_list_goes_through_all_jobs(url: str, where: JobFilter) -> None:
    async with SqlStore(url):
        pass
    for asked in (statements.list_jobs(where, None), statements.count_jobs(where)):
        assert "SCAN jobs" not in [step.partition(" USING")[0] for step in plan(url, asked)], asked


def plan(url: str, asked: Select[Any]) -> list[str]:
    """The steps by which the database answers, but for those that go through an index alone."""
    engine = create_engine(url)
    bound = asked.params(p_limit=20, p_offset=0)
    sql = bound.compile(engine, compile_kwargs={"literal_binds": True})
    with engine.connect() as connection:
        steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}").all()
    engine.dispose()
    return [step.detail for step in steps if "USING COVERING INDEX" not in step.detail]
