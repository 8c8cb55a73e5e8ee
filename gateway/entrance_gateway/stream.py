"""Streams of messages from a server, which go on at another one when that is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Self, cast

import grpc
from google.protobuf.message import Message

from entrance.relays import RELAYS
from entrance_gateway import errors
from entrance_gateway.credentials import Metadata
from entrance_gateway.line import READY_INTERVAL, Line, Lines
from entrance_gateway.operations import Operation

RESUMED_WITHIN = 30.0  # seconds in which a server is to be found that goes on with a stream


class Source:
    """The messages of one stream, from one server after the other. An async context manager.

    Nobody sees where one ended and the next one went on, but for the time that passes.
    """

    def __init__(
        self,
        lines: Callable[[], Lines],
        operation: Operation,
        request: Message,
        metadata: Metadata,
    ) -> None:
        self._lines = lines
        self._operation = operation
        self._metadata = metadata
        self._request = request.SerializeToString()
        relay = RELAYS.get(request.DESCRIPTOR.full_name)
        self._relay = relay(request) if relay is not None else None
        self._has_begun = False
        self._given_up_at: float | None = None  # while it is broken
        self._line: AsyncExitStack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._line.aclose()

    async def open(self, *, patient: bool) -> None:
        """Makes the call; `patient` waits for a server when all are away."""
        lines = self._lines()
        await self._call_by(await lines.next_ready() if patient else lines.next(), patient)

    async def read(self) -> Message | None:
        """The next message; None at the end.

        Raises:
            AioRpcError: the server ended the stream with an error, or is lost and none goes on.
        """
        while True:
            try:
                message = await self._call.read()
            except grpc.aio.AioRpcError as error:
                if not errors.is_lost(error) or not self._has_begun or self._relay is None:
                    raise
                if (rest := self._relay.resume()) is None:  # it ended with its last message
                    return None
                self._request = rest
                await self._go_on(error)
                continue
            if not isinstance(message, Message):
                return None
            self._has_begun, self._given_up_at = True, None
            if (new := self._new_in(message)) is not None:
                return new

    def _new_in(self, message: Message) -> Message | None:
        if self._relay is None:
            return message
        return cast("Message | None", self._relay.take(message))

    async def _go_on(self, lost: grpc.aio.AioRpcError) -> None:
        """Makes the call for the rest as soon as a server is there, or raises what broke it."""
        loop = asyncio.get_running_loop()
        self._given_up_at = self._given_up_at or loop.time() + RESUMED_WITHIN
        await self._line.aclose()
        await asyncio.sleep(READY_INTERVAL)  # what is ready may still refuse at once, over and over
        if loop.time() >= self._given_up_at:
            raise lost
        try:
            async with asyncio.timeout_at(self._given_up_at):
                line = await self._lines().any_ready()
        except TimeoutError:
            raise lost from None
        await self._call_by(line, patient=False)

    async def _call_by(self, line: Line, patient: bool) -> None:
        await self._line.enter_async_context(line)
        rpc: grpc.aio.UnaryStreamMultiCallable[bytes, Message] = line.channel.unary_stream(
            self._operation.rpc,
            response_deserializer=self._operation.response_class.FromString,
        )
        self._call = rpc(self._request, metadata=self._metadata, wait_for_ready=patient)
        self._line.callback(self._call.cancel)


class Stream:
    """An open stream of messages that can be waited for with a limit, without losing any.

    The next message is read when it is asked for, so that the server is held back by a slow reader.
    """

    def __init__(self, source: Source, until: asyncio.Event | None) -> None:
        self._source = source
        self._until = asyncio.create_task(until.wait()) if until else None
        self._reading: asyncio.Task[Message | None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [task for task in (self._until, self._reading) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self, timeout: float) -> None:
        """Waits for the first message, which `next` still gives, for `timeout` seconds at most.

        Raises:
            Refusal: the server ended the stream with an error instead.
        """
        reading = await self._wait(timeout)
        if reading.done():
            _message(reading)

    async def next(self, timeout: float) -> Message | None:
        """The next message, or None at the stream's end.

        Raises:
            TimeoutError: none came within `timeout` seconds; a later call can still give it.
            Refusal: the server ended the stream with an error.
        """
        reading = await self._wait(timeout)
        if reading.done():
            self._reading = None
            return _message(reading)
        if self._until is not None and self._until.done():
            return None
        raise TimeoutError

    async def _wait(self, timeout: float) -> asyncio.Task[Message | None]:
        if self._reading is None:
            self._reading = asyncio.create_task(self._source.read())
        waited = [task for task in (self._reading, self._until) if task is not None]
        await asyncio.wait(waited, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        return self._reading


def _message(reading: asyncio.Task[Message | None]) -> Message | None:
    try:
        return reading.result()
    except grpc.aio.AioRpcError as error:
        raise errors.from_rpc(error) from error
