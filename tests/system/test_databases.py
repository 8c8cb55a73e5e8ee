"""SQL in a real PostgreSQL over a named connection, and what users can not see of it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psutil
import psycopg
import pytest

from entrance.client import InvalidArgument, JobHandle, JobParams, JobStatus
from tests.support.jobs import ended, reason_of_failure, texts
from tests.support.postgres import HOST, PASSWORD, USER, Postgres
from tests.support.rest import labels_form
from tests.support.service import SETTINGS, Service, running_service
from tests.support.waiting import until


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> Iterator[psycopg.Connection]:
    """An operator's own connection to the database that jobs use."""
    with psycopg.connect(postgres.new_database(), autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE orders AS SELECT i AS id, i * 1.5 AS price FROM generate_series(1, 9) i"
        )
        yield connection


@pytest.fixture(scope="module")
def service(
    postgres: Postgres, database: psycopg.Connection, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    secret = tmp_path_factory.mktemp("secrets") / "password"
    secret.write_text(PASSWORD + "\n")
    url = f"postgresql://{USER}@{HOST}:{postgres.port}/{database.info.dbname}"
    connections = {
        "sales": {"engine": "adbc", "url": url, "password_file": str(secret), "users": ["alice"]},
        "broken": {"engine": "adbc", "url": url, "password": "not " + PASSWORD},
    }
    with running_service({**SETTINGS, "ENTRANCE_CONNECTIONS": json.dumps(connections)}) as service:
        yield service


def submit(service: Service, sql: str, connection: str = "sales") -> JobHandle:
    return service.alice.client.submit(sql, engine="adbc", params=over(connection))


def over(connection: str) -> JobParams:
    return JobParams(startup={"adbc.connection": connection})


def sleeping_in(database: psycopg.Connection) -> int:
    """How many statements of others sleep there now."""
    found = database.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1000)%' "
        "AND state = 'active' AND pid <> pg_backend_pid()"
    ).fetchone()
    assert found is not None
    return int(found[0])


def test_rows_come_as_a_table_by_both_protocols(service: Service) -> None:
    job = submit(service, "SELECT id, price::float8 AS price FROM orders WHERE id <= 2 ORDER BY id")
    ended(job, JobStatus.SUCCEED)
    rows = [{"id": 1, "price": 1.5}, {"id": 2, "price": 3.0}]
    assert job.result().to_arrow().to_pylist() == rows
    told = service.alice.rest.get(f"{job.task_id}/results/0")
    assert told.is_ok, told
    assert "3.0" in json.dumps(told.data)


@pytest.mark.parametrize("sql", ["SHOW server_version", "EXPLAIN SELECT 1"])
def test_commands_that_give_rows_do_so_too(service: Service, sql: str) -> None:
    job = submit(service, sql)
    ended(job, JobStatus.SUCCEED)
    assert job.result().to_arrow().num_rows >= 1


def test_values_without_a_bound_come_as_exact_text(service: Service) -> None:
    job = submit(service, "SELECT sum(price) AS n, array_agg(id) AS ids FROM orders WHERE id < 3")
    ended(job, JobStatus.SUCCEED)
    assert job.result().to_arrow().to_pylist() == [{"n": "4.5", "ids": [1, 2]}]


def test_an_error_has_the_words_and_the_state_of_the_database(service: Service) -> None:
    job = submit(service, "SELECT 1; SELECT * FROM nothing")
    ended(job, JobStatus.FAILED)
    error = job.get().error
    assert error is not None
    assert error.message.startswith('statement 2 of 2: ERROR:  relation "nothing" does not exist')
    assert error.message.endswith("(SQLSTATE 42P01)")


def test_a_kill_cancels_the_statement_in_the_database_and_keeps_the_session(
    service: Service, database: psycopg.Connection
) -> None:
    job = submit(service, "SELECT pg_sleep(1000)")
    until(lambda: sleeping_in(database), "the statement runs")
    job.kill()
    ended(job, JobStatus.CANCELLED)
    until(lambda: not sleeping_in(database), "the statement has ended")
    following = submit(service, "SELECT 1 AS one")
    ended(following, JobStatus.SUCCEED)
    assert following.get().session_id == job.get().session_id


def test_a_database_that_refuses_the_password_is_told_without_it(service: Service) -> None:
    job = submit(service, "SELECT 1", "broken")
    reason = reason_of_failure(service.alice, job)
    assert "password authentication failed" in reason
    assert PASSWORD not in "\n".join([reason, *texts(job)])


def test_a_connection_of_others_is_refused_by_both_protocols(service: Service) -> None:
    with pytest.raises(InvalidArgument, match="names no connection for bob; name one of: broken"):
        service.bob.client.submit("SELECT 1", engine="adbc", params=over("sales"))
    body = labels_form("SELECT 1", "adbc", "sql")
    body["params"] = {"configuration": {"startup": {"adbc.connection": "sales"}}}
    told = service.bob.rest.post("submit", body)
    assert (told.http, told.status) == (400, 1)
    assert "errCode: 20010" in told.message


def test_the_password_is_in_no_file_process_or_answer_of_the_service(service: Service) -> None:
    job = submit(service, "SELECT 1 AS one")
    ended(job, JobStatus.SUCCEED)
    secret = PASSWORD.encode()
    for path in (path for path in service.root.rglob("*") if path.is_file()):
        assert secret not in path.read_bytes(), path
    for process in psutil.process_iter(["cmdline"]):
        assert PASSWORD not in " ".join(process.info["cmdline"] or ()), process
