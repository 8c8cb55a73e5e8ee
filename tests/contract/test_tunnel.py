"""Calls through the tunnel give what ordinary calls give, and none holds up another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2

from entrance.tunnel.v1 import tunnel_pb2, tunnel_pb2_grpc
from entrance.v1 import entrance_pb2 as pb
from entrance_gateway.backend import Backend
from entrance_gateway.config import GatewaySettings
from entrance_gateway.credentials import Metadata
from entrance_gateway.errors import Refusal
from entrance_gateway.operations import operations_of
from entrance_gateway.tunnel import RESPONSE_LIMIT, CallFailed, NoTunnel, Tunnel
from entrance_server.domain import errors
from entrance_server.domain.job import Job, Principal
from entrance_server.rpc import tunnel as served
from entrance_server.rpc.server import Limits
from tests.contract.grpc_edge import (
    JOB,
    PATIENCE,
    Services,
    connected,
    edge_server,
    serving,
)

AS_ALICE = (("authorization", "Bearer alice"),)
STATUS = "/entrance.v1.EntranceService/Status"
KILL = "/entrance.v1.EntranceService/Kill"
GET_JOB = "/entrance.v1.EntranceService/GetJob"
SUBMIT = next(
    one
    for one in operations_of([pb.DESCRIPTOR.services_by_name["EntranceService"]])
    if one.request_class is pb.SubmitRequest
)


class LargeJobs(Services):
    """Answers with a job that is larger than a message may be."""

    async def get_job(self, principal: Principal, id: str, *, task_id: int = 0) -> Job:
        return replace(JOB, spec=replace(JOB.spec, code="x" * RESPONSE_LIMIT))


@asynccontextmanager
async def tunnel_to(services: Services) -> AsyncIterator[Tunnel]:
    async with serving(services) as channel, Tunnel(channel) as tunnel:
        yield tunnel


async def status(
    tunnel: Tunnel, id: str = "7", *, metadata: Metadata = AS_ALICE, timeout: float = PATIENCE
) -> pb.StatusResponse:
    message = pb.StatusRequest(id=id).SerializeToString()
    answer = await tunnel.call(STATUS, message, metadata, timeout=timeout, repeatable=True)
    return pb.StatusResponse.FromString(answer)


async def eventually(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - the fake has no event for this
        await asyncio.sleep(0.01)


async def failure(call: Any) -> Any:
    with pytest.raises(CallFailed) as caught:
        await call
    return caught.value.status


async def test_a_call_gives_what_an_ordinary_call_gives() -> None:
    async with tunnel_to(Services()) as tunnel:
        assert (await status(tunnel)).task_id == 7


async def test_many_calls_at_once_get_each_its_own_answer() -> None:
    services = Services()
    async with tunnel_to(services) as tunnel:
        await asyncio.gather(*(status(tunnel, str(number)) for number in range(500)))
    assert sorted(int(asked[1]) for asked in services.asked) == list(range(500))


async def test_each_call_is_checked_by_its_own_credentials() -> None:
    async with tunnel_to(Services()) as tunnel:
        good, bad = await asyncio.gather(
            status(tunnel), failure(status(tunnel, metadata=(("authorization", "Bearer x"),)))
        )
    assert good.task_id == 7
    assert bad.code == code_pb2.UNAUTHENTICATED


async def test_an_error_comes_with_its_details() -> None:
    wrong = errors.InvalidRequest(
        "No.", reason="WRONG", err_code=20004, violations=[errors.FieldViolation("id", "is wrong")]
    )
    async with tunnel_to(Services(error=wrong)) as tunnel:
        told = await failure(status(tunnel))
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in told.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    assert (told.code, told.message) == (code_pb2.INVALID_ARGUMENT, "No.")
    assert (info.reason, info.metadata["errCode"]) == ("WRONG", "20004")
    assert bad.field_violations[0].field == "id"


async def test_an_unknown_method_is_refused() -> None:
    async with tunnel_to(Services()) as tunnel:
        call = tunnel.call("/x.Y/Z", b"", AS_ALICE, timeout=PATIENCE, repeatable=True)
        assert (await failure(call)).code == code_pb2.UNIMPLEMENTED


async def test_bytes_that_are_no_message_are_refused() -> None:
    async with tunnel_to(Services()) as tunnel:
        call = tunnel.call(STATUS, b"\xff", AS_ALICE, timeout=PATIENCE, repeatable=True)
        assert (await failure(call)).code == code_pb2.INVALID_ARGUMENT


async def test_a_slow_call_holds_up_no_other() -> None:
    services = Services(gate=asyncio.Event())
    async with tunnel_to(services) as tunnel, asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(status(tunnel))
        await services.started.wait()
        unknown = tunnel.call("/x.Y/Z", b"", AS_ALICE, timeout=PATIENCE, repeatable=True)
        assert (await failure(unknown)).code == code_pb2.UNIMPLEMENTED
        assert not slow.done()
        assert services.gate is not None
        services.gate.set()


async def acting(tunnel: Tunnel) -> pb.KillResponse:
    message = pb.KillRequest(id="7").SerializeToString()
    answer = await tunnel.call(KILL, message, AS_ALICE, timeout=PATIENCE, repeatable=False)
    return pb.KillResponse.FromString(answer)


async def test_an_answer_that_is_too_large_fails_its_own_call_alone() -> None:
    services = LargeJobs(gate=asyncio.Event())
    async with tunnel_to(services) as tunnel, asyncio.TaskGroup() as tasks:
        kill = tasks.create_task(acting(tunnel))
        await services.started.wait()
        message = pb.GetJobRequest(id="7").SerializeToString()
        large = tunnel.call(GET_JOB, message, AS_ALICE, timeout=PATIENCE, repeatable=True)
        told = await failure(large)
        assert services.gate is not None
        services.gate.set()
    assert told.code == code_pb2.OUT_OF_RANGE
    assert "ask for less" in told.message
    assert kill.result().exec_id


async def test_many_large_answers_at_once_come_in_several_messages() -> None:
    violation = errors.FieldViolation("id", "x" * 2_000)
    long = errors.InvalidRequest("x" * 1_000, reason="WRONG", violations=[violation])
    services = Services(error=long, gate=asyncio.Event())
    async with tunnel_to(services) as tunnel, asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(failure(acting(tunnel))) for _ in range(2_000)]
        await eventually(lambda: len(services.asked) == len(calls))
        assert services.gate is not None
        services.gate.set()
    assert {call.result().code for call in calls} == {code_pb2.INVALID_ARGUMENT}


async def test_many_calls_with_large_credentials_go_in_several_messages() -> None:
    metadata = (*AS_ALICE, ("token-code", "x" * 100_000))
    async with tunnel_to(Services()) as tunnel:
        await asyncio.gather(*(status(tunnel, metadata=metadata) for _ in range(100)))


async def test_a_call_that_is_too_large_for_the_server_fails_alone() -> None:
    services, limits = Services(gate=asyncio.Event()), Limits(request_bytes=2 * 1024 * 1024)
    async with (
        serving(services, limits=limits) as channel,
        Backend(GatewaySettings(), channel) as backend,
        asyncio.TaskGroup() as tasks,
    ):
        first = tasks.create_task(backend.call(SUBMIT, pb.SubmitRequest(), AS_ALICE))
        await services.started.wait()
        content = pb.ExecutionContent(code="x" * limits.request_bytes)
        with pytest.raises(Refusal):
            await backend.call(SUBMIT, pb.SubmitRequest(execution_content=content), AS_ALICE)
        assert services.gate is not None
        services.gate.set()
    assert isinstance(first.result(), pb.SubmitResponse)


async def test_a_caller_that_takes_no_answers_is_not_heard_any_more() -> None:
    heard = 0

    async def requests() -> AsyncIterator[tunnel_pb2.CarryRequest]:
        nonlocal heard
        while True:
            heard += 1
            calls = [tunnel_pb2.Call(number=heard, method="/x.Y/Z")] * 1_000
            yield tunnel_pb2.CarryRequest(calls=calls)
            await asyncio.sleep(0)

    async with served.Tunnel({}, "peer") as tunnel:
        receiving = asyncio.create_task(tunnel.receive(requests()))
        for _ in range(100):
            await asyncio.sleep(0)
        assert heard * 1_000 <= served.MAX_CALLS + 1_000
        before = heard
        async with aclosing(tunnel.responses(receiving)) as responses:
            async for _ in responses:
                if heard > before:
                    break
        receiving.cancel()


async def test_a_call_that_takes_too_long_fails_and_is_cancelled_at_the_server() -> None:
    services = Services(gate=asyncio.Event())
    async with tunnel_to(services) as tunnel:
        told = await failure(status(tunnel, timeout=0.2))
        await services.released.wait()
    assert told.code == code_pb2.DEADLINE_EXCEEDED


async def test_a_caller_that_goes_away_cancels_its_call_at_the_server() -> None:
    services = Services(gate=asyncio.Event())
    async with tunnel_to(services) as tunnel:
        call = asyncio.create_task(status(tunnel))
        await services.started.wait()
        call.cancel()
        await services.released.wait()


async def test_the_end_of_the_stream_cancels_its_calls_at_the_server() -> None:
    services = Services(gate=asyncio.Event())
    async with serving(services) as channel:
        stream = tunnel_pb2_grpc.TunnelServiceStub(channel).Carry()
        call = tunnel_pb2.Call(
            number=1,
            method=STATUS,
            metadata=[tunnel_pb2.Metadata(key=key, value=value) for key, value in AS_ALICE],
        )
        await stream.write(tunnel_pb2.CarryRequest(calls=[call]))
        await services.started.wait()
        stream.cancel()
        await services.released.wait()


async def test_calls_that_only_read_survive_a_broken_stream_and_others_fail() -> None:
    first, second = Services(gate=asyncio.Event()), Services()
    old = edge_server(first)
    port = old.add_insecure_port("127.0.0.1:0")
    await old.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, Tunnel(channel) as tunnel:
        reading = asyncio.create_task(status(tunnel))
        kill = pb.KillRequest(id="7").SerializeToString()
        acting = asyncio.create_task(
            tunnel.call(KILL, kill, AS_ALICE, timeout=PATIENCE, repeatable=False)
        )
        await eventually(lambda: len(first.asked) == 2)
        new = edge_server(second)
        await old.stop(grace=None)
        new.add_insecure_port(f"127.0.0.1:{port}")
        await new.start()
        assert (await failure(acting)).code == code_pb2.UNAVAILABLE
        assert (await reading).task_id == 7
        await new.stop(grace=None)
    assert len(second.asked) == 1


async def test_a_server_that_is_away_is_told_at_once() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel, Tunnel(channel) as tunnel:
        assert (await failure(status(tunnel))).code == code_pb2.UNAVAILABLE


async def test_a_server_without_a_tunnel_is_found_out() -> None:
    async with connected(grpc.aio.server()) as channel, Tunnel(channel) as tunnel:
        with pytest.raises(NoTunnel):
            await status(tunnel)
        with pytest.raises(NoTunnel):
            await status(tunnel)
