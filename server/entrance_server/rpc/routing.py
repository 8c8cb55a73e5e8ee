"""Lets any server answer for any job: a call about a live one goes to the server that has it.

Where that server goes away, the call, or the rest of its stream, goes to the one that takes over.
"""

from __future__ import annotations

from typing import Any, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from entrance.relays import RELAYS, Answer, Relay
from entrance_server.domain.errors import EntranceError, JobMoved
from entrance_server.rpc import caller, naming
from entrance_server.rpc.edge import Context, Handler, Method
from entrance_server.rpc.kills import Kills
from entrance_server.rpc.naming import Names
from entrance_server.rpc.peers import Peers
from entrance_server.rpc.places import Patience, PeerLost, Places, doubted


class Routing:
    """Sends calls to where their job is. Stands inside of Identity, next to the handlers."""

    def __init__(self, places: Places, peers: Peers) -> None:
        self._places = places
        self._peers = peers

    def wrap(self, method: Method, handler: Handler) -> Handler:
        rpc = method.descriptor
        if rpc is None:
            return handler
        if naming.names_several(rpc.input_type):
            return Kills(method, handler, self._places, self._peers).call
        asked = _Asked.reader(rpc.input_type)
        if asked is None:
            return handler
        if not method.streams:
            return self._unary(method, handler, asked)
        relay = RELAYS.get(rpc.input_type.full_name)
        return self._stream(method, handler, asked, relay) if relay else handler

    def _unary(self, method: Method, handler: Handler, asked: _Asked) -> Handler:
        async def call(request: Any, context: Context) -> Any:
            _, names = asked.read(request)
            if not names:
                return await handler(request, context)
            forwards, patience = caller.noted_forwards(), Patience()
            lost: PeerLost | None = None
            while True:
                try:
                    owner = await self._places.of(names)
                    if owner is None:
                        return await handler(request, context)
                    forwards.update(dict.fromkeys(names, owner.name))
                    return await self._peers.call(owner, method, request, context)
                except JobMoved as moved:
                    lost = moved if isinstance(moved, PeerLost) else lost
                    await patience.after(moved)
                except EntranceError as error:
                    raise doubted(error, lost) from error

        return call

    def _stream(
        self, method: Method, handler: Handler, asked: _Asked, relay_class: type[Relay]
    ) -> Handler:
        async def call(request: Any, context: Context) -> None:
            message, names = asked.read(request)
            if message is None or not names:
                await handler(request, context)
                return
            relay = relay_class(message)
            sent = _Sent(context, relay)
            forwards, patience = caller.noted_forwards(), Patience()
            rest: bytes | None = request
            while rest is not None:
                try:
                    owner = await self._places.of(names)
                    if owner is None:
                        await handler(rest, cast(Context, sent))
                    else:
                        forwards.update(dict.fromkeys(names, owner.name))
                        await self._peers.stream(owner, method, rest, context, sent)
                    return
                except JobMoved as moved:
                    if sent.anything_since():
                        patience.renew()
                    await patience.after(moved)
                    rest = relay.resume()

        return call


class _Asked:
    """Reads requests of one kind."""

    def __init__(self, request_class: type[Message], namer: naming.Namer) -> None:
        self._request_class = request_class
        self._namer = namer

    @classmethod
    def reader(cls, request: Descriptor) -> _Asked | None:
        """What reads requests that name a job; None for others."""
        namer = naming.namer_of(request)
        return None if namer is None else cls(GetMessageClass(request), namer)

    def read(self, request: bytes) -> tuple[Message | None, Names]:
        """The request and the jobs that it may mean; none where it is malformed."""
        try:
            message = self._request_class.FromString(request)
        except DecodeError:
            return None, ()
        return message, self._namer(message)


class _Sent:
    """The context of a stream, which shows each answer to a relay before it sends it."""

    def __init__(self, context: Context, relay: Relay) -> None:
        self._context = context
        self._relay = relay
        self._anything = False

    def anything_since(self) -> bool:
        """Whether anything was sent since this was asked before."""
        anything, self._anything = self._anything, False
        return anything

    async def write(self, answer: Answer) -> None:
        """Sends what is new in an answer."""
        new = self._relay.take(answer)
        if new is not None:
            self._anything = True
            await self._context.write(new)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)
