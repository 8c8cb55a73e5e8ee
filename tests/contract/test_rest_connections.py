"""How many connections and streams a gateway has at once, and what the next one is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import httpx
import psutil
from google.protobuf.message import Message

from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import files_pb2
from tests.contract.rest_gateway import (
    PATIENCE,
    ROOT,
    Context,
    Running,
    Script,
    parts,
    running,
    says,
    service,
)
from tests.support.waiting import eventually

HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = "x" * 12 * 1024 * 1024  # far more than sockets hold


class Connection:
    """One connection to a gateway, byte for byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, request: bytes) -> bytes:
        """The head of the answer to a request."""
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        await self.reader.readexactly(length)
        return head

    async def is_closed(self) -> bool:
        """Waits for the end of the connection, before which nothing comes."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True


@asynccontextmanager
async def connection(gateway: Running, *, buffer: int = 2**16) -> AsyncIterator[Connection]:
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=buffer)
        try:
            yield Connection(reader, writer)
        finally:
            writer.close()


class Held:
    """A script whose calls go on until they are released."""

    def __init__(self, answer: Message) -> None:
        self.begun = asyncio.Event()
        self.released = asyncio.Event()
        self._answer = answer

    def script(self) -> Script:
        async def script(_: Message, __: Context) -> AsyncGenerator[Message, None]:
            self.begun.set()
            await self.released.wait()
            yield self._answer

        return script


async def test_the_connection_that_was_idle_longest_makes_room_for_a_new_one() -> None:
    async with (
        service() as it,
        running(it.port, max_connections=2) as gateway,
        connection(gateway) as first,
        connection(gateway) as second,
    ):
        await second.ask(HEALTH)
        await first.ask(HEALTH)  # so that the second was idle longer
        async with connection(gateway) as third:
            assert (await third.ask(HEALTH)).startswith(b"HTTP/1.1 200 ")
            assert await second.is_closed()
            assert (await first.ask(HEALTH)).startswith(b"HTTP/1.1 200 ")


async def test_a_connection_too_many_is_told_to_come_back_while_all_others_work() -> None:
    held = Held(pb.StatusResponse())
    async with (
        service({"Status": held.script()}) as it,
        running(it.port, max_connections=1) as gateway,
        asyncio.TaskGroup() as tasks,
    ):
        working = tasks.create_task(gateway.client.get(f"{ROOT}/7/status"))
        await held.begun.wait()
        async with httpx.AsyncClient(base_url=str(gateway.client.base_url)) as another:
            refused = await another.get(f"{ROOT}/7/status")
        held.released.set()
        assert (await working).status_code == 200
        assert (await gateway.client.get(f"{ROOT}/7/status")).status_code == 200
    assert parts(refused)[:2] == (429, 1)
    assert "1 connections that are all at work" in refused.json()["message"]
    assert refused.headers["retry-after"]


async def test_many_refused_connections_do_not_pile_up() -> None:
    held = Held(pb.StatusResponse())
    async with (
        service({"Status": held.script()}) as it,
        running(it.port, max_connections=1) as gateway,
        asyncio.TaskGroup() as tasks,
    ):
        working = tasks.create_task(gateway.client.get(f"{ROOT}/7/status"))
        await held.begun.wait()
        opened = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(300)]
        async with asyncio.timeout(PATIENCE):
            answers = await asyncio.gather(*(_everything(reader) for reader, _ in opened))
        for _, writer in opened:
            writer.close()
        held.released.set()
        assert (await working).status_code == 200
    told = [answer for answer in answers if answer]
    assert 0 < len(told) < 300
    assert all(json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 1 for answer in told)


async def test_a_request_that_comes_with_the_one_before_is_work_too() -> None:
    held = Held(pb.StatusResponse())
    status = f"GET {ROOT}/7/status HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    async with (
        service({"Status": held.script()}) as it,
        running(it.port, max_connections=1) as gateway,
        connection(gateway) as both,
    ):
        await both.ask(HEALTH + status)
        await held.begun.wait()
        assert (await gateway.client.get("/health")).status_code == 429
        held.released.set()
        assert (await both.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_asks_faster_than_it_takes_answers_is_broken_off() -> None:
    held = Held(pb.StatusResponse())
    status = f"GET {ROOT}/7/status HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    async with (
        service({"Status": held.script()}) as it,
        running(it.port) as gateway,
        connection(gateway) as hasty,
    ):
        hasty.writer.write(status * 1_000)
        assert await hasty.is_closed()
        held.released.set()
        assert (await gateway.client.get(f"{ROOT}/7/status")).status_code == 200


async def test_a_client_that_does_not_take_its_answer_is_broken_off() -> None:
    script = says(files_pb2.OpenLogResponse(log=[LARGE, "", "", LARGE]))
    request = (
        b"GET /api/rest_j/v1/filesystem/openLog?path=entrance:///7/log HTTP/1.1\r\nHost: x\r\n"
    )
    for more in (b"\r\n", b"Connection: close\r\n\r\n"):
        async with (
            service({"OpenLog": script}) as it,
            running(it.port, idle_connection=1) as gateway,
            connection(gateway) as silent,
        ):
            silent.writer.write(request + more)
            await silent.reader.readuntil(b"\r\n\r\n")
            await asyncio.wait_for(it.ended.wait(), PATIENCE)
            await eventually(lambda: not _is_held(silent), "the gateway holds it no more")
            answer = await _everything(silent.reader)
            assert len(answer) < 2 * len(LARGE)


async def test_streams_take_no_place_from_other_requests() -> None:
    held = Held(pb.StreamLogResponse())
    async with (
        service({"StreamLog": held.script()}) as it,
        running(it.port, max_streams=1, open_wait=0.05) as gateway,
        gateway.client.stream("GET", f"{ROOT}/7/log/stream") as first,
    ):
        assert first.status_code == 200
        refused = await gateway.client.get(f"{ROOT}/7/log/stream")
        assert (await gateway.client.get(f"{ROOT}/7/status")).status_code == 200
        held.released.set()
    assert parts(refused)[:2] == (429, 1)
    assert "1 streams open" in refused.json()["message"]
    assert refused.headers["retry-after"]


def _is_held(connection: Connection) -> bool:
    """Whether the gateway, which is in this process, still has its end of a connection."""
    own = connection.writer.get_extra_info("sockname")
    return any(one.raddr == own for one in psutil.Process().net_connections("tcp4"))


async def _everything(reader: asyncio.StreamReader) -> bytes:
    """What comes to the end, however that comes."""
    received = bytearray()
    try:
        while piece := await reader.read(2**20):
            received += piece
    except ConnectionError:
        pass
    return bytes(received)
