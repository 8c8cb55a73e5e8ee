"""SQL in Trino in a real runner, by Trino's own client, before a server of Trino's protocol."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pyarrow.parquet as pq
import pytest
import trustme

from tests.support.trino_server import TrinoServer
from tests.system.runner.client import CANCELLED, FAILED, SUCCEED, RunnerClient


@pytest.fixture
def trino() -> Iterator[TrinoServer]:
    with TrinoServer("reader").running() as server:
        yield server


@pytest.fixture
async def session(runner: RunnerClient, trino: TrinoServer) -> None:
    url = f"http://reader@127.0.0.1:{trino.port}/hive/sales"
    await runner.open("trino", secrets={"url": url, "password": ""})


@pytest.mark.usefixtures("session")
async def test_rows_become_tables_with_trino_s_types(runner: RunnerClient) -> None:
    run = await runner.start(
        "create table t as select 1 n; select 42 as n, 'a;b' as s, date '2026-01-02' as day", "sql"
    )
    outcome = await runner.follow(run)
    assert outcome.end.status == SUCCEED, outcome.log
    (result,) = (one.result_set for one in outcome.results)
    assert [(one.name, one.data_type) for one in result.columns] == [
        ("n", "int"),
        ("s", "string"),
        ("day", "date"),
    ]
    (row,) = pq.read_table(runner.results(run) / outcome.results[0].file_name).to_pylist()
    assert (row["n"], row["s"], str(row["day"])) == (42, "a;b", "2026-01-02")


@pytest.mark.usefixtures("session")
async def test_the_progress_is_that_of_trino_s_splits(
    runner: RunnerClient, trino: TrinoServer
) -> None:
    run = await runner.start("select held() as n", "sql")
    fractions = []
    async for event in runner.events(run):
        if event.HasField("progress"):
            fractions.append(event.progress.progress)
            if event.progress.progress == 0.75:
                trino.released.set()
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


@pytest.mark.usefixtures("session")
async def test_a_kill_cancels_the_query_in_trino(runner: RunnerClient, trino: TrinoServer) -> None:
    run = await runner.start("select held() as n", "sql")
    async for event in runner.events(run):
        if event.HasField("progress") and event.progress.progress == 0.75:
            break
    await runner.interrupt(run, grace=20)
    outcome = await runner.follow(run)
    assert outcome.end.status == CANCELLED
    assert outcome.end.session_usable
    assert trino.cancelled == ["select held() as n"]
    assert (await runner.run("select 1 as n", "sql")).end.status == SUCCEED


@pytest.mark.usefixtures("session")
async def test_an_error_is_trino_s_and_names_the_statement(runner: RunnerClient) -> None:
    outcome = await runner.run("select 1; selec 2", "sql")
    assert outcome.end.status == FAILED
    assert outcome.end.error.message.startswith("statement 2 of 2: SYNTAX_ERROR: Parser Error")


async def test_a_coordinator_that_does_not_answer_is_told(runner: RunnerClient) -> None:
    assert "Trino does not answer: " in await refused(runner, "http://me@127.0.0.1:1/hive", "")


async def test_a_password_does_not_go_over_a_line_in_clear(runner: RunnerClient) -> None:
    told = await refused(runner, "http://me@127.0.0.1:1/hive", "open sesame")
    assert told == "the connection has a password; its URL must begin with https"


@pytest.mark.parametrize("url", ["trino", "trino://me@host/hive", "http://127.0.0.1:8080/hive"])
async def test_a_url_that_is_none_says_how_one_looks(runner: RunnerClient, url: str) -> None:
    told = await refused(runner, url, "")
    assert told == "the connection's URL must be http(s)://<user>@<host>:<port>/<catalog>/<schema>"


async def test_a_wrong_password_is_told_without_it(runner: RunnerClient, tmp_path: Path) -> None:
    authority, certificate = trustme.CA(), tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with TrinoServer("me", "right").running(
        ssl_certfile=str(certificate), ssl_keyfile=str(certificate)
    ) as server:
        url = f"https://me@127.0.0.1:{server.port}/hive"
        told = await refused(runner, url, "open sesame", ca=tmp_path / "ca.pem")
    assert "401" in told or "nauthorized" in told
    assert "open sesame" not in told


async def refused(runner: RunnerClient, url: str, password: str, *, ca: Path | None = None) -> str:
    environment = {"PATH": "/usr/bin:/bin", **({"REQUESTS_CA_BUNDLE": str(ca)} if ca else {})}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await runner.open(
            "trino", secrets={"url": url, "password": password}, environment=environment
        )
    return caught.value.details() or ""
