"""The other servers of the installation: channels to them, and calls that they answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import grpc
import structlog
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from grpc_status import rpc_status

from entrance.tls import TlsError, TlsSource
from entrance_server.domain.errors import JobMoved
from entrance_server.domain.instances import Owner
from entrance_server.keeper import Keeper
from entrance_server.rpc import caller, errors
from entrance_server.rpc.edge import Context, Method
from entrance_server.rpc.hops import Seal
from entrance_server.rpc.places import Owners, PeerLost
from entrance_server.store.port import StoreUnavailable

LOOK_INTERVAL: Final = 1.0  # seconds between looks for servers that are gone
MESSAGE_BYTES: Final = 64 * 1024 * 1024  # of an answer; pages of results can be large

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # also how long an attempt to connect may take
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
)
_BROKEN: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})

log = structlog.get_logger(__name__)


class Receiver(Protocol):
    """Takes the answers of a stream, in wire form."""

    async def write(self, answer: Any, /) -> None:
        """Sends an answer on, as fast as it is read."""


class Peers(Keeper):
    """Hands calls on to other servers, as their callers sent them. An async context manager.

    A channel is closed when its server is no longer among those that live: what is under way on it
    then fails as if the server had gone away, also when that only hangs.
    """

    def __init__(
        self, *, instance: str, owners: Owners, seal: Seal, tls: TlsSource | None = None
    ) -> None:
        self._instance = instance
        self._owners = owners
        self._seal = seal
        self._tls = tls
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._retired: dict[str, grpc.aio.Channel] = {}  # which calls that are under way use
        self._troubles: dict[str, str] = {}  # that were told last, by address

    async def __aexit__(self, *exc_info: object) -> None:
        await super().__aexit__(*exc_info)
        await self._close(self._channels)
        await self._close(self._retired)

    async def call(self, owner: Owner, method: Method, request: bytes, context: Context) -> bytes:
        """The answer of a unary call, in wire form.

        Raises:
            RemoteError: the server refused it.
            JobMoved: it has not the job.
            PeerLost: it is away, or went away.
        """
        async with self._calling(owner, lambda channel: channel.unary_unary(method.name)) as begin:
            answer: bytes = await begin(request, **self._as_it_came(context))
            return answer

    async def stream(
        self, owner: Owner, method: Method, request: bytes, context: Context, to: Receiver
    ) -> None:
        """Sends on the answers of a stream, to its end. The errors are those of `call`."""
        async with self._calling(owner, lambda channel: channel.unary_stream(method.name)) as begin:
            call = begin(request, **self._as_it_came(context))
            try:
                while (answer := await call.read()) is not grpc.aio.EOF:
                    await to.write(answer)
            finally:
                call.cancel()

    @asynccontextmanager
    async def _calling(
        self, owner: Owner, rpc: Callable[[grpc.aio.Channel], Any]
    ) -> AsyncIterator[Any]:
        try:
            yield rpc(self._channel(owner.address))
        except grpc.aio.AioRpcError as error:
            if (told := _told(error)) is None:
                self._note(owner, error)
                raise _lost(owner) from error
            if told.reason == JobMoved.reason:
                raise JobMoved(told.message) from None
            raise told from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise _lost(owner) from None  # its channel was closed

    def _note(self, owner: Owner, error: grpc.aio.AioRpcError) -> None:
        """Tells in the log why a server is not reached, once for all calls that find the same."""
        reason = error.details() or error.code().name
        if self._troubles.get(owner.address) != reason:
            self._troubles[owner.address] = reason
            log.warning(
                "server not reached", instance=owner.name, address=owner.address, error=reason
            )

    def _as_it_came(self, context: Context) -> dict[str, Any]:
        return {
            "metadata": self._seal.metadata(caller.credentials(), via=self._instance),
            "timeout": context.time_remaining(),
        }

    def _channel(self, address: str) -> grpc.aio.Channel:
        if address not in self._channels:
            self._channels[address] = self._connected(address)
        return self._channels[address]

    def _connected(self, address: str) -> grpc.aio.Channel:
        if self._tls is None:
            return grpc.aio.insecure_channel(address, _OPTIONS)
        return grpc.aio.secure_channel(address, self._tls.content.channel_credentials(), _OPTIONS)

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            if self._tls is not None:
                await self._use_new_certificates(self._tls)
            if not self._channels:
                continue
            with contextlib.suppress(StoreUnavailable):  # what is under way goes on
                alive = {one.address for one in await self._owners.live_instances()}
                for address in self._channels.keys() - alive:
                    log.info("server lost", address=address)
                    self._troubles.pop(address, None)
                    await self._channels.pop(address).close()

    async def _use_new_certificates(self, source: TlsSource) -> None:
        """Lets calls go by new certificates from now on, and those under way to their end."""
        try:
            if await asyncio.to_thread(source.renewed) is None:
                return
        except TlsError as error:
            log.error("certificates between servers not renewed", error=str(error))
            return
        await self._close(self._retired)  # long unused: by certificates before the last ones
        self._retired, self._channels = self._channels, {}

    async def _close(self, channels: dict[str, grpc.aio.Channel]) -> None:
        for address in list(channels):
            await channels.pop(address).close()


def _lost(owner: Owner) -> PeerLost:
    return PeerLost(
        f"The server {owner.name}, which has the job, can't be reached; when it is gone, another "
        "one takes the job over. Try again."
    )


def _told(error: grpc.aio.AioRpcError) -> errors.RemoteError | None:
    """What a server answered; None when the connection broke, or the server stops."""
    try:
        told = rpc_status.from_call(error)
    except (ValueError, DecodeError):
        told = None
    if told is None:
        if error.code() in _BROKEN:
            return None
        number: int = error.code().value[0]
        told = status_pb2.Status(code=number, message=error.details() or "")
    return errors.RemoteError(told)
