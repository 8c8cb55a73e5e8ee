"""How a server follows a run, goes away and comes back."""

import asyncio

import grpc
import pytest

from entrance.engine.v1 import engine_pb2 as pb
from tests.system.runner.client import SUCCEED, RunnerClient


@pytest.fixture(autouse=True)
async def session(runner: RunnerClient) -> None:
    await runner.open("shell")


async def test_a_line_is_there_as_soon_as_it_is_printed(runner: RunnerClient) -> None:
    run = await runner.start("echo first; read line < go; echo second", "sh", fifo="go")
    log = ""
    async for event in runner.events(run):
        log += event.log.text
        if log == "first\n":
            await asyncio.to_thread((runner.work / "go").write_text, "\n")
    assert log == "first\nsecond\n"


async def test_a_reader_that_is_slow_to_acknowledge_gets_more_lines_at_once(
    runner: RunnerClient,
) -> None:
    run = await runner.start("for i in $(seq 100); do echo $i; sleep 0.01; done", "sh")
    outcome = await runner.follow(run, acknowledge=False)
    assert outcome.log == "".join(f"{i}\n" for i in range(1, 101))
    assert sum(event.HasField("log") for event in outcome.events) < 100


async def test_a_server_that_comes_back_gets_the_same_events_from_where_it_was(
    runner: RunnerClient,
) -> None:
    script = "for i in 1 2 3 4 5; do echo $i; sleep 0.02; done"
    run = await runner.start(script, "sh")
    whole = await runner.follow(run, acknowledge=False)
    seqs = [event.seq for event in whole.events]
    assert seqs == sorted(set(seqs))
    for index, seq in enumerate(seqs[:-1]):
        again = await runner.follow(run, seq=seq, acknowledge=False)
        newer = [event for event in again.events if event in whole.events[index + 1 :]]
        assert newer == again.events
        assert again.log == "".join(event.log.text for event in whole.events[index + 1 :])


async def test_a_new_stream_ends_the_one_before(runner: RunnerClient) -> None:
    run = await runner.start("read line < go; echo end", "sh", fifo="go")
    old = runner.events(run)
    await anext(old)
    new = asyncio.create_task(runner.follow(run))
    with pytest.raises(grpc.aio.AioRpcError) as error:
        async for _ in old:
            pass
    assert error.value.code() == grpc.StatusCode.ABORTED
    await asyncio.to_thread((runner.work / "go").write_text, "\n")
    assert (await new).end.status == SUCCEED


async def test_a_reader_may_finish_sending_before_the_run_ends(runner: RunnerClient) -> None:
    run = await runner.start("sleep 0.1; echo end", "sh")
    call = runner.stub.StreamEvents()
    await call.write(pb.StreamEventsRequest(run_id=run))
    await call.done_writing()
    events = [event async for response in call for event in response.events]
    assert events[-1].HasField("end")
    assert await call.code() == grpc.StatusCode.OK


async def test_a_stream_serves_one_run_after_another(runner: RunnerClient) -> None:
    call = runner.stub.StreamEvents()
    for text in ("a", "b"):
        await call.write(pb.StreamEventsRequest(new_run=runner.new_run(f"echo {text}", "sh")))
        assert not (await runner.read(call)).events  # the run has begun
        events: list[pb.Event] = []
        while not (events and events[-1].HasField("end")):
            events += (await runner.read(call)).events
            await call.write(pb.StreamEventsRequest(seq=events[-1].seq))
        assert "".join(event.log.text for event in events) == f"{text}\n"
    await call.done_writing()
    assert await call.code() == grpc.StatusCode.OK


async def test_a_stream_that_waits_for_a_run_does_not_hold_up_the_end(
    runner: RunnerClient,
) -> None:
    run = await runner.start("true", "sh")
    call = runner.stub.StreamEvents()
    await call.write(pb.StreamEventsRequest(run_id=run))
    last = (await runner.read(call)).events[-1]
    assert last.HasField("end")
    await call.write(pb.StreamEventsRequest(seq=last.seq))
    await runner.close()
    assert await call.code() == grpc.StatusCode.OK  # it was not cut off


async def test_a_refused_run_ends_its_stream_alone(runner: RunnerClient) -> None:
    run = await runner.start("echo a", "sh")
    with pytest.raises(grpc.aio.AioRpcError):
        await runner.start("echo b", "sh")
    assert (await runner.follow(run)).log == "a\n"


async def test_the_same_run_again_changes_nothing(runner: RunnerClient) -> None:
    run = await runner.start("echo x >> runs", "sh")
    await runner.start("echo x >> runs", "sh", run_id=run)
    await runner.follow(run)
    await runner.start("echo x >> runs", "sh", run_id=run)
    assert (runner.work / "runs").read_text() == "x\n"


async def test_a_run_waits_until_the_one_before_is_acknowledged(runner: RunnerClient) -> None:
    run = await runner.start("echo a", "sh")
    outcome = await runner.follow(run, acknowledge=False)
    description = await runner.describe()
    assert (description.run_id, description.last_seq) == (run, outcome.events[-1].seq)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await runner.start("echo b", "sh")
    assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    await runner.follow(run)
    assert (await runner.describe()).run_id == ""
    assert (await runner.run("echo b", "sh")).log == "b\n"


async def test_a_run_that_was_acknowledged_has_no_more_events(runner: RunnerClient) -> None:
    run = await runner.start("echo a", "sh")
    await runner.follow(run)
    assert [event async for event in runner.events(run)] == []


async def test_a_run_that_can_not_be_done_is_refused(runner: RunnerClient) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="shell runs shell, sh, not 'sql'") as error:
        await runner.start("true", "sql")
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
