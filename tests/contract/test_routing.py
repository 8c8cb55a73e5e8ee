"""Any server answers for any job: calls and streams reach whoever has it, and follow it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import files_pb2, files_pb2_grpc
from entrance_gateway.tunnel import CallFailed, Tunnel
from entrance_server.domain import errors
from entrance_server.domain.status import JobStatus
from entrance_server.logs.levels import LogChunk, LogLevel
from entrance_server.rpc import places
from entrance_server.service.views import KillOutcome, LogBatch, ProgressView
from tests.contract.cluster import Member, cluster
from tests.contract.grpc_edge import ALICE, AS_ALICE, JOB, stub

STATUS = "/entrance.v1.EntranceService/Status"
ENDED = dataclasses.replace(JOB, status=JobStatus.SUCCEED, progress=1.0)


def lines(first: int, *texts: str) -> LogBatch:
    text = "".join(f"{one}\n" for one in texts).encode()
    chunk = LogChunk(first, len(texts), LogLevel.INFO, text)
    return LogBatch([chunk], first + len(texts))


def end(next_line: int) -> LogBatch:
    return LogBatch((), next_line, ENDED)


async def status(member: Member, id: str = "7") -> pb.StatusResponse:
    return await stub(member.channel).Status(pb.StatusRequest(id=id), metadata=AS_ALICE)


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


async def eventually(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - the fakes have no event for this
        await asyncio.sleep(0.01)


async def test_a_call_is_answered_by_the_server_that_has_the_job() -> None:
    async with cluster(["a", "b"]) as (a, b):
        b.take(7)
        assert (await status(a)).task_id == 7
    assert a.services.asked == []
    assert b.services.asked == [(ALICE, "7", 0)]


async def test_a_job_that_is_here_is_answered_without_a_look_into_the_store() -> None:
    async with cluster(["a", "b"]) as (a, _):
        a.take(7)
        await status(a)
        assert a.table.lookups == 0


async def test_a_job_that_nobody_acts_for_is_answered_where_it_is_asked_for() -> None:
    async with cluster(["a", "b"]) as (a, b):
        await status(a)
    assert len(a.services.asked) == 1
    assert b.services.asked == []


async def test_a_malformed_id_is_refused_where_it_comes() -> None:
    async with cluster(["a", "b"]) as (a, b):
        b.take(7)
        await status(a, "7x")  # the stand-in does not mind
    assert b.services.asked == []


async def test_the_number_beside_an_id_finds_the_job_too() -> None:
    async with cluster(["a", "b"]) as (a, b):
        b.take(7)
        request = pb.StatusRequest(id="8", task_id=7)
        await stub(a.channel).Status(request, metadata=AS_ALICE)
    assert b.services.asked == [(ALICE, "8", 7)]


async def test_a_refusal_comes_as_the_other_server_told_it() -> None:
    async with cluster(["a", "b"]) as (a, b):
        b.take(7)
        wrong = errors.FieldViolation("id", "is wrong")
        b.services.error = errors.InvalidRequest("No.", err_code=20010, violations=[wrong])
        direct, by_hop = await refusal(status(b)), await refusal(status(a))
    assert by_hop.code() is direct.code()
    assert by_hop.details() == direct.details()
    details = [
        dict(one.trailing_metadata() or ())["grpc-status-details-bin"] for one in (direct, by_hop)
    ]
    assert details[0] == details[1]


async def test_the_caller_is_checked_where_he_comes_and_where_the_job_is() -> None:
    async with cluster(["a", "b"]) as (a, b):
        b.take(7)
        request = pb.StatusRequest(id="7")
        error = await refusal(stub(a.channel).Status(request))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert a.table.lookups == 0
        await status(a)
        assert b.services.asked == [(ALICE, "7", 0)]


async def test_the_deadline_of_the_caller_holds_at_the_other_server() -> None:
    async with cluster(["a", "b"]) as (a, b):
        b.take(7)
        b.services.gate = asyncio.Event()
        call = stub(a.channel).Status(pb.StatusRequest(id="7"), metadata=AS_ALICE, timeout=0.3)
        assert (await refusal(call)).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await b.services.released.wait()


async def test_a_call_that_its_caller_gives_up_is_given_up_at_the_other_server() -> None:
    async with cluster(["a", "b"]) as (a, b):
        b.take(7)
        b.services.gate = asyncio.Event()
        call = stub(a.channel).Status(pb.StatusRequest(id="7"), metadata=AS_ALICE)
        await b.services.started.wait()
        call.cancel()
        await b.services.released.wait()


async def test_a_call_waits_for_the_server_that_takes_the_job_over() -> None:
    async with cluster(["a", "b", "c"]) as (a, b, c):
        b.take(7)
        b.services.gate = asyncio.Event()
        answer = asyncio.ensure_future(status(a))
        await b.services.started.wait()
        await b.die()
        c.take(7)
        assert (await answer).task_id == 7
    assert c.services.asked == [(ALICE, "7", 0)]


async def test_a_call_waits_for_a_job_that_is_being_taken_over_here() -> None:
    async with cluster(["a"]) as (a,):
        a.take(7)
        a.lose(7)
        answer = asyncio.ensure_future(status(a))
        await eventually(lambda: a.table.lookups > 1)
        assert not a.services.asked
        a.take(7)
        assert (await answer).task_id == 7


async def test_a_server_that_hangs_is_left_when_it_counts_as_gone() -> None:
    async with cluster(["a", "b", "c"]) as (a, b, c):
        b.take(7)
        b.services.gate = asyncio.Event()  # it never answers, nor does its connection break
        answer = asyncio.ensure_future(status(a))
        await b.services.started.wait()
        del a.table.addresses_of["b"]
        c.take(7)
        assert (await answer).task_id == 7


async def test_a_job_that_nobody_takes_over_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "PATIENCE", 0.2)
    async with cluster(["a", "b"]) as (a, b):
        b.take(7)
        await b.die()
        error = await refusal(status(a))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "another one is about to take it over" in (error.details() or "")


async def test_a_job_that_ended_a_moment_ago_is_still_its_servers_to_tell() -> None:
    async with cluster(["a", "b"]) as (a, b):
        b.take(7)
        a.table.ended[7] = datetime.now(UTC)
        await status(a)
        assert len(b.services.asked) == 1
        await b.die()
        await status(a)
    assert len(a.services.asked) == 1


async def test_a_job_that_ended_long_ago_is_answered_where_it_is_asked_for() -> None:
    async with cluster(["a", "b"]) as (a, b):
        b.take(7)
        a.table.ended[7] = datetime.now(UTC) - 2 * places.AFTER_END
        await status(a)
    assert len(a.services.asked) == 1


async def test_a_call_goes_on_once_and_comes_back_when_the_job_has_moved() -> None:
    async with cluster(["a", "b", "c"]) as (a, b, c):
        b.take(7)
        b.lose(7)  # b is asked, and finds that c has it by now
        answer = asyncio.ensure_future(status(a))
        await eventually(lambda: a.table.lookups > 1)
        c.take(7)
        assert (await answer).task_id == 7
    assert b.services.asked == []
    assert c.services.asked == [(ALICE, "7", 0)]


async def test_a_kill_whose_server_was_lost_is_not_told_to_come_too_late() -> None:
    async with cluster(["a", "b", "c"]) as (a, b, c):
        b.take(7)
        b.services.gate = asyncio.Event()
        c.services.error = errors.WrongState("Job 7 has ended already.", reason="JOB_ENDED")
        answer = stub(a.channel).Kill(pb.KillRequest(id="7"), metadata=AS_ALICE)
        await b.services.started.wait()
        await b.die()
        c.take(7)
        error = await refusal(answer)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "has ended already" in (error.details() or "")


async def test_jobs_of_several_servers_are_killed_by_one_call() -> None:
    request = pb.KillJobsRequest(id_list=["1", "x", "2", "3"], task_id_list=[0, 0, 2, 0])
    async with cluster(["a", "b", "c"]) as (a, b, c):
        for member, *jobs in ((a, 1), (b, 2), (c, 3)):
            member.take(*jobs)
            job = dataclasses.replace(JOB, task_id=jobs[0])
            member.services.outcomes = [KillOutcome(str(jobs[0]), job, None)]
        refused = KillOutcome("x", None, errors.InvalidRequest("No id."))
        a.services.outcomes.append(refused)
        answer = await stub(a.channel).KillJobs(request, metadata=AS_ALICE)
    assert [one.id for one in answer.messages] == ["1", "x", "2", "3"]
    assert [one.task_id for one in answer.messages] == [1, 0, 2, 3]
    assert [bool(one.status.code) for one in answer.messages] == [False, True, False, False]
    assert a.services.asked == [(ALICE, ["1", "x"], [0, 0])]
    assert b.services.asked == [(ALICE, ["2"], [2])]


async def test_jobs_that_nobody_takes_over_do_not_keep_others_from_being_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(places, "PATIENCE", 0.2)
    request = pb.KillJobsRequest(id_list=["1", "2"], task_id_list=[0, 0])
    async with cluster(["a", "b"]) as (a, b):
        a.take(1)
        b.take(2)
        a.services.outcomes = [KillOutcome("1", dataclasses.replace(JOB, task_id=1), None)]
        await b.die()
        answer = await stub(a.channel).KillJobs(request, metadata=AS_ALICE)
    codes = [one.status.code for one in answer.messages]
    assert codes == [0, grpc.StatusCode.UNAVAILABLE.value[0]]


async def test_a_followed_log_goes_on_with_the_next_server_where_it_stood() -> None:
    async with cluster(["a", "b", "c"]) as (a, b, c):
        b.take(7)
        b.services.batches = [lines(1, "one", "two")]
        b.services.gate = asyncio.Event()
        stream = aiter(stub(a.channel).StreamLog(pb.StreamLogRequest(id="7"), metadata=AS_ALICE))
        first = await anext(stream)
        await b.die()
        c.services.batches = [lines(3, "three"), end(4)]
        c.take(7)
        answers = [first, *[one async for one in stream]]
    assert c.services.asked == [(ALICE, "7", 3, frozenset())]
    assert [chunk.text for one in answers for chunk in one.chunks] == ["one\ntwo\n", "three\n"]
    assert answers[-1].status == pb.JOB_STATUS_SUCCEED


async def test_a_followed_log_goes_on_here_when_this_server_takes_the_job_over() -> None:
    async with cluster(["a", "b"]) as (a, b):
        b.take(7)
        b.services.batches = [lines(1, "one")]
        b.services.gate = asyncio.Event()
        stream = aiter(stub(a.channel).StreamLog(pb.StreamLogRequest(id="7"), metadata=AS_ALICE))
        first = await anext(stream)
        await b.die()
        a.services.batches = [lines(2, "two"), end(3)]
        a.take(7)
        answers = [first, *[one async for one in stream]]
    assert [chunk.text for one in answers for chunk in one.chunks] == ["one\n", "two\n"]


async def test_a_followed_log_goes_on_elsewhere_when_this_server_loses_the_job() -> None:
    async with cluster(["a", "b"]) as (a, b):
        a.take(7)
        a.services.batches = [lines(1, "one")]
        a.services.error = errors.JobMoved("The job is with another server.")
        b.services.batches = [lines(2, "two"), end(3)]
        a.services.gate = asyncio.Event()
        stream = aiter(stub(a.channel).StreamLog(pb.StreamLogRequest(id="7"), metadata=AS_ALICE))
        first = await anext(stream)
        a.lose(7)
        b.take(7)
        a.services.gate.set()
        answers = [first, *[one async for one in stream]]
    assert [chunk.text for one in answers for chunk in one.chunks] == ["one\n", "two\n"]


async def test_a_log_whose_end_was_sent_is_over_though_its_server_is_lost() -> None:
    async with cluster(["a", "b"]) as (a, b):
        b.take(7)
        b.services.batches = [end(1)]
        b.services.gate = asyncio.Event()
        stream = aiter(stub(a.channel).StreamLog(pb.StreamLogRequest(id="7"), metadata=AS_ALICE))
        await anext(stream)
        await b.die()
        assert await anext(stream, None) is None


@pytest.mark.parametrize("changed", [False, True])
async def test_a_state_that_was_sent_is_not_sent_again_by_the_next_server(changed: bool) -> None:
    async with cluster(["a", "b", "c"]) as (a, b, c):
        b.take(7)
        b.services.gate = asyncio.Event()
        request = pb.StreamProgressRequest(id="7")
        stream = aiter(stub(a.channel).StreamProgress(request, metadata=AS_ALICE))
        await anext(stream)
        await b.die()
        if changed:
            c.services.progress_view = ProgressView(JOB, 0.75)
        c.take(7)
        rest = [one.progress async for one in stream]
    assert rest == ([0.75] if changed else [])


async def test_a_download_goes_on_after_the_bytes_that_were_sent() -> None:
    async with cluster(["a", "b", "c"]) as (a, b, c):
        b.take(7)
        b.services.gate = asyncio.Event()
        files = files_pb2_grpc.FileServiceStub(a.channel)
        request = files_pb2.DownloadRequest(path="entrance:///7/log")
        stream = aiter(files.Download(request, metadata=AS_ALICE))
        first = await anext(stream)
        assert (first.data or (await anext(stream)).data) == b"data"
        await b.die()
        c.take(7)
        assert [one async for one in stream] == []
    assert c.services.asked


async def test_results_are_read_from_the_files_that_all_servers_share() -> None:
    async with cluster(["a", "b"]) as (a, b):
        b.take(7)
        request = pb.ReadResultRequest(id="7", index=0)
        await stub(a.channel).ReadResult(request, metadata=AS_ALICE)
    assert b.services.asked == []


async def test_a_call_out_of_a_gateways_tunnel_reaches_the_job_too() -> None:
    async with cluster(["a", "b"]) as (a, b), Tunnel(a.channel) as tunnel:
        b.take(7)
        message = pb.StatusRequest(id="7").SerializeToString()
        answer = await tunnel.call(STATUS, message, tuple(AS_ALICE), timeout=5, repeatable=True)
        assert pb.StatusResponse.FromString(answer).task_id == 7
        b.services.error = errors.NotFound("There is no such job.")
        with pytest.raises(CallFailed) as failed:
            await tunnel.call(STATUS, message, tuple(AS_ALICE), timeout=5, repeatable=True)
        assert failed.value.status.details
    assert a.services.asked == []


async def test_the_address_of_the_caller_is_told_to_the_other_server() -> None:
    async with cluster(["a", "b"]) as (a, b):
        b.take(7)
        by_gateway = (*AS_ALICE, ("caller-address", "203.0.113.9"))
        await stub(a.channel).Kill(pb.KillRequest(id="7"), metadata=by_gateway)
    assert [entry["address"] for entry in (*a.audit.all, *b.audit.all)] == ["203.0.113.9"] * 2


async def test_the_audit_log_tells_an_act_from_its_passing_on() -> None:
    async with cluster(["a", "b"]) as (a, b):
        b.take(7)
        await stub(a.channel).Kill(pb.KillRequest(id="7"), metadata=AS_ALICE)
    (passed_on,), (act,) = a.audit.all, b.audit.all
    assert (passed_on["action"], passed_on["outcome"]) == ("Kill", "OK")
    assert passed_on["forwarded_to"] == "b"
    assert "via" not in passed_on
    assert act["via"] == "a"
    assert "forwarded_to" not in act


async def test_of_several_jobs_the_audit_log_marks_those_that_were_passed_on() -> None:
    request = pb.KillJobsRequest(id_list=["1", "2"], task_id_list=[0, 0])
    async with cluster(["a", "b"]) as (a, b):
        for member, number in ((a, 1), (b, 2)):
            member.take(number)
            job = dataclasses.replace(JOB, task_id=number)
            member.services.outcomes = [KillOutcome(str(number), job, None)]
        await stub(a.channel).KillJobs(request, metadata=AS_ALICE)
    told = {entry["job"]: entry.get("forwarded_to") for entry in a.audit.all if "via" not in entry}
    assert told == {1: None, 2: "b"}
    assert [entry["job"] for entry in b.audit.all] == [2]


async def test_a_server_with_another_key_is_not_believed() -> None:
    async with cluster(["a", "b"], keys={"a": b"wrong"}) as (a, b):
        b.take(7)
        error = await refusal(status(a))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "shared_dir" in (error.details() or "")
    assert b.services.asked == []
