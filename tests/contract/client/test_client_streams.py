"""Following a job and reading its results over connections that break; with both clients."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from google.rpc import code_pb2

from entrance.client import (
    AsyncClient,
    Client,
    InvalidArgument,
    JobFailed,
    JobStatus,
    LogLevel,
    LogLine,
    NotFound,
    PermissionDenied,
    ResultType,
    Unavailable,
)
from tests.contract.client.conftest import QUICK
from tests.contract.client.fake_service import (
    CELLS,
    PICTURE,
    TABLE,
    TOKEN,
    FakeService,
    error,
    serving,
)

THREE_LINES = "info one\nwarn two\nerror three"


async def numbers(lines: object) -> list[int]:
    return [line.number async for line in lines]  # type: ignore[attr-defined]


async def test_a_followed_log_gives_number_level_and_text(client: AsyncClient) -> None:
    job = await client.submit(THREE_LINES, engine="shell")

    assert [line async for line in job.follow_log()] == [
        LogLine(1, LogLevel.INFO, "one"),
        LogLine(2, LogLevel.WARN, "two"),
        LogLine(3, LogLevel.ERROR, "three"),
    ]


async def test_a_followed_log_starts_at_a_line(client: AsyncClient) -> None:
    job = await client.submit(THREE_LINES, engine="shell")

    assert await numbers(job.follow_log(from_line=3)) == [3]


async def test_a_followed_log_keeps_to_levels_and_to_numbers(client: AsyncClient) -> None:
    job = await client.submit(THREE_LINES, engine="shell")

    assert await numbers(job.follow_log(levels=[LogLevel.ERROR, LogLevel.INFO])) == [1, 3]


async def test_each_line_arrives_once_over_connections_that_break(
    client: AsyncClient, service: FakeService
) -> None:
    job = await client.submit("\n".join(f"info {n}" for n in range(20)), engine="shell")
    for _ in range(30):
        service.break_next("StreamLog", after=1)

    assert await numbers(job.follow_log()) == list(range(1, 21))
    assert service.calls["StreamLog"] >= 20


async def test_a_line_that_is_sent_again_is_not_given_again(
    client: AsyncClient, service: FakeService
) -> None:
    job = await client.submit("\n".join(f"info {n}" for n in range(6)), engine="shell")
    service.resend_lines = 2
    service.break_next("StreamLog", after=4)

    assert await numbers(job.follow_log()) == [1, 2, 3, 4, 5, 6]


async def test_following_is_given_up_when_nothing_comes_over_many_tries(
    client: AsyncClient, service: FakeService
) -> None:
    job = await client.submit("hang", engine="shell")
    for _ in range(50):
        service.break_next("StreamLog")

    with pytest.raises(Unavailable):
        await numbers(job.follow_log())

    assert service.calls["StreamLog"] == QUICK.streams + 1


async def test_another_error_ends_following_at_once(
    client: AsyncClient, service: FakeService
) -> None:
    job = await client.submit(THREE_LINES, engine="shell")
    denied = error(code_pb2.PERMISSION_DENIED, "not yours")
    service.break_next("StreamLog", after=1, error=denied)

    with pytest.raises(PermissionDenied, match="not yours"):
        await numbers(job.follow_log())


def test_following_goes_on_with_a_service_that_was_started_again(service: FakeService) -> None:
    seen = []
    with serving(service) as port:
        client = Client(f"127.0.0.1:{port}", token=TOKEN, retries=QUICK)
        job = client.submit("info one\nhang", engine="shell")
        lines = job.follow_log()
        seen.append(next(lines).text)
    with client, serving(service, port):
        service.append(job.task_id, "two")
        seen.append(next(lines).text)
        job.kill()
        seen.extend(line.text for line in lines)

    assert seen == ["one", "two"]


async def test_a_log_page_gives_levels_numbers_and_what_comes_next(client: AsyncClient) -> None:
    job = await client.submit("info one\ninfo \nerror bad\nwarn careful\ninfo bad", engine="shell")

    page = await job.log(from_line=1, size=4)

    assert page.lines == (
        LogLine(1, LogLevel.INFO, "one"),
        LogLine(2, LogLevel.INFO, ""),
        LogLine(3, LogLevel.ERROR, "bad"),
        LogLine(4, LogLevel.WARN, "careful"),
    )
    assert page.next_line == 5
    assert (await job.log(from_line=99)).lines == ()


async def test_progress_tells_stages_and_resources(client: AsyncClient) -> None:
    job = await client.submit("hang", engine="shell")

    progress = await job.progress()

    assert progress.status is JobStatus.RUNNING
    assert [(stage.id, stage.total_tasks) for stage in progress.stages] == [("statement 1", 2)]
    assert progress.resources is not None
    assert (progress.resources.memory_bytes, progress.resources.memory_share) == (2**20, 0.25)


async def test_followed_progress_ends_with_the_job_and_repeats_nothing(
    client: AsyncClient, service: FakeService
) -> None:
    job = await client.submit("info hello", engine="shell")
    service.break_next("StreamProgress", after=0)

    seen = [(p.progress, p.status) async for p in job.follow_progress()]

    assert seen == [(1.0, JobStatus.SUCCEED)]


async def test_a_stream_that_is_left_early_is_given_back(service: FakeService) -> None:
    with serving(service) as port, Client(f"127.0.0.1:{port}", token=TOKEN) as client:
        job = client.submit("info one\nhang", engine="shell")
        lines = job.follow_log()
        assert next(lines).text == "one"

        lines.close()  # type: ignore[attr-defined]

        with service.changed:
            assert service.changed.wait_for(lambda: service.open_streams == 0, timeout=10)


async def test_result_sets_are_listed_in_order(client: AsyncClient) -> None:
    job = await client.submit("table\ntext hi\npicture", engine="python")

    results = await job.results()

    assert [result.type for result in results] == [
        ResultType.TABLE,
        ResultType.TEXT,
        ResultType.PICTURE,
    ]
    assert [column.data_type for column in results[0].columns] == [
        "string",
        "bigint",
        "double",
        "array",
        "boolean",
    ]


async def test_a_table_is_the_same_as_arrow_and_as_batches(client: AsyncClient) -> None:
    result = await (await client.submit("table", engine="duckdb")).result()

    table = await result.to_arrow()
    batches = [batch async for batch in result.batches()]

    assert same(table, TABLE)
    assert [batch.num_rows for batch in batches] == [2, 2]


def same(left: pa.Table, right: pa.Table) -> bool:
    """Equality in which NaN is NaN."""
    if left.schema != right.schema or left.num_rows != right.num_rows:
        return False
    pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
    return all(_same_value(a[name], b[name]) for a, b in pairs for name in left.column_names)


def _same_value(left: object, right: object) -> bool:
    both_nan = isinstance(left, float) and isinstance(right, float) and math.isnan(left)
    return (both_nan and math.isnan(right)) or left == right  # type: ignore[arg-type]


@pytest.mark.parametrize("after", [1, 5, 8, 12])
async def test_a_table_goes_on_after_the_rows_that_came(
    client: AsyncClient, service: FakeService, after: int
) -> None:
    result = await (await client.submit("table", engine="duckdb")).result()
    service.break_next("StreamResult", after=after)

    assert same(await result.to_arrow(), TABLE)


async def test_an_empty_table_keeps_its_columns(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.contract.client.fake_service.TABLE", TABLE.slice(0, 0))
    result = await (await client.submit("table", engine="duckdb")).result()

    table = await result.to_arrow()

    assert (table.schema, table.num_rows) == (TABLE.schema, 0)


async def test_rows_are_text_with_none_for_null_over_all_pages(client: AsyncClient) -> None:
    result = await (await client.submit("table", engine="duckdb")).result()

    assert [row async for row in result.rows()] == [tuple(row) for row in CELLS]


async def test_a_picture_arrives_byte_for_byte_over_a_connection_that_breaks(
    client: AsyncClient, service: FakeService
) -> None:
    result = await (await client.submit("picture", engine="python")).result()
    service.break_next("StreamResult", after=2)

    assert await result.bytes() == PICTURE
    assert result.info.media_type == "image/png"


async def test_text_is_text(client: AsyncClient) -> None:
    result = await (await client.submit("text Grüezi", engine="python")).result()

    assert await result.text() == "Grüezi"


async def test_a_result_that_is_no_table_is_not_read_as_one(client: AsyncClient) -> None:
    result = await (await client.submit("picture", engine="python")).result()

    with pytest.raises(InvalidArgument, match="result 0 is of type picture; read it by bytes"):
        await result.to_arrow()


async def test_the_missing_result_of_a_failed_job_is_told_as_the_failure(
    client: AsyncClient,
) -> None:
    job = await client.submit("fail no such table", engine="duckdb")

    with pytest.raises(JobFailed, match="no such table"):
        await job.result()


async def test_a_failed_jobs_earlier_result_can_be_read(client: AsyncClient) -> None:
    job = await client.submit("text first\nfail second", engine="duckdb")

    assert await (await job.result()).text() == "first"


async def test_an_index_that_is_not_there_is_not_found(client: AsyncClient) -> None:
    job = await client.submit("text only", engine="duckdb")

    with pytest.raises(NotFound, match="no result set 1"):
        await job.result(1)
