"""The tunnel: unary calls that come many in one stream, each served as if it had come alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from functools import partial
from typing import Any, Final, NoReturn, cast

import grpc
from google.rpc import code_pb2, status_pb2

from entrance.deadlines import Deadlines
from entrance.tunnel.v1 import tunnel_pb2 as pb
from entrance.tunnel.v1 import tunnel_pb2_grpc
from entrance_server.rpc.edge import Context, RpcHandler

SERVICE: Final = pb.DESCRIPTOR.services_by_name["TunnelService"].full_name
MAX_CALLS: Final = 10_000  # under way at once in one tunnel
FULL_MESSAGE: Final = 1024 * 1024  # bytes of answers in one message, unless a single one has more
AROUND_ANSWER: Final = 64  # bytes that an answer takes in a message beside its own, at most


class TunnelServicer(tunnel_pb2_grpc.TunnelServiceServicer):
    """Serves calls out of tunnels. The handlers are those of ordinary calls, layers included."""

    def __init__(self, handlers: Mapping[str, RpcHandler]) -> None:
        self._handlers = handlers

    async def Carry(
        self, request_iterator: AsyncIterator[pb.CarryRequest], context: Context
    ) -> AsyncIterator[pb.CarryResponse]:
        async with Tunnel(self._handlers, context.peer()) as tunnel:
            receiving = asyncio.create_task(tunnel.receive(request_iterator))
            try:
                async for response in tunnel.responses(receiving):
                    yield response
            finally:
                receiving.cancel()


class Tunnel:
    """The calls of one stream. Leaving it cancels those under way."""

    def __init__(self, handlers: Mapping[str, RpcHandler], peer: str) -> None:
        self._handlers = handlers
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines()
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._answers: list[pb.Answer] = []
        self._answered = asyncio.Event()
        self._taken = asyncio.Event()
        self._response_limit: int | None = None

    async def __aenter__(self) -> Tunnel:
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def receive(self, requests: AsyncIterator[pb.CarryRequest]) -> None:
        """Begins calls as they come, to the end of the stream.

        A caller that takes no answers is not heard any more until it does.
        """
        async for request in requests:
            if len(request.calls) > MAX_CALLS:  # nobody sends that who waits for answers
                return
            self._response_limit = request.response_limit or None
            for call in request.calls:
                self._begin(call)
            for number in request.cancelled:
                if task := self._under_way.get(number):
                    task.cancel()
            while len(self._answers) > MAX_CALLS:
                self._taken.clear()
                await self._taken.wait()

    async def responses(self, receiving: asyncio.Task[None]) -> AsyncGenerator[pb.CarryResponse]:
        """The answers, those of one turn of the event loop in one message."""
        receiving.add_done_callback(lambda _: self._answered.set())
        while True:
            await self._answered.wait()
            self._answered.clear()
            while self._answers:
                yield self._next_message()
            if receiving.done() and not self._under_way:
                receiving.result()
                return

    def _begin(self, call: pb.Call) -> None:
        if len(self._under_way) >= MAX_CALLS:
            self._refuse(call, code_pb2.RESOURCE_EXHAUSTED, f"{MAX_CALLS} calls are under way.")
        elif call.number in self._under_way:
            self._refuse(call, code_pb2.INVALID_ARGUMENT, "The number is another call's.")
        elif handler := self._handlers.get(call.method):
            task = self._loop.create_task(self._serve(call, handler))
            self._under_way[call.number] = task
            task.add_done_callback(partial(self._end, call.number))
        else:
            self._refuse(call, code_pb2.UNIMPLEMENTED, "There is no such method.")

    def _end(self, number: int, _: asyncio.Task[None]) -> None:
        self._under_way.pop(number, None)
        self._answered.set()

    async def _serve(self, call: pb.Call, handler: RpcHandler) -> None:
        context = CallContext(call, self._peer)
        try:
            with self._deadlines.within(context.time_remaining()):
                response = await cast(Any, handler.unary_unary)(
                    call.message, cast(Context, context)
                )
        except grpc.aio.AbortError:
            self._answers.append(pb.Answer(number=call.number, error=context.status))
        except TimeoutError:
            self._refuse(call, code_pb2.DEADLINE_EXCEEDED, "The call took longer than its timeout.")
        else:
            self._answer(call, cast(Any, handler.response_serializer)(response))

    def _answer(self, call: pb.Call, message: bytes) -> None:
        limit = self._response_limit
        if limit is not None and len(message) + AROUND_ANSWER > limit:
            words = (
                f"The answer has {len(message):,} bytes, more than the {limit:,} that the gateway "
                "takes at once; ask for less, such as a smaller page."
            )
            self._refuse(call, code_pb2.OUT_OF_RANGE, words)
        else:
            self._answers.append(pb.Answer(number=call.number, message=message))

    def _refuse(self, call: pb.Call, code: int, message: str) -> None:
        status = status_pb2.Status(code=code, message=message)
        self._answers.append(pb.Answer(number=call.number, error=status))
        self._answered.set()

    def _next_message(self) -> pb.CarryResponse:
        full = min(FULL_MESSAGE, self._response_limit or FULL_MESSAGE)
        size = count = 0
        for answer in self._answers:
            size += AROUND_ANSWER + (len(answer.message) or answer.error.ByteSize())
            if count and size > full:
                break
            count += 1
        response = pb.CarryResponse(answers=self._answers[:count])
        del self._answers[:count]
        self._taken.set()
        return response


class CallContext:
    """What a handler may ask of its call, for one out of a tunnel."""

    def __init__(self, call: pb.Call, peer: str) -> None:
        self.status = status_pb2.Status()
        self._deadline: float | None = None
        self._metadata = tuple([(entry.key, entry.value) for entry in call.metadata])
        self._peer = peer
        if call.HasField("timeout"):
            timeout = call.timeout
            self._deadline = time.monotonic() + timeout.seconds + timeout.nanos / 1e9

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """The call's own metadata."""
        return self._metadata

    def peer(self) -> str:
        """Who holds the other end of the tunnel."""
        return self._peer

    def time_remaining(self) -> float | None:
        """Seconds until the call's deadline; None without one."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def code(self) -> grpc.StatusCode:
        """How the call was aborted; OK before that."""
        return _CODES[self.status.code]

    def details(self) -> str:
        """Why the call was aborted; empty before that."""
        return self.status.message

    async def abort_with_status(self, status: Any) -> NoReturn:
        """Ends the call with an error and its details."""
        details = dict(status.trailing_metadata or ()).get("grpc-status-details-bin")
        if details:
            self.status.ParseFromString(details)
        else:
            self.status.code = status.code.value[0]
            self.status.message = status.details
        raise grpc.aio.AbortError("Locally aborted.")


_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
