"""The concerns of all calls: observation, errors, deadlines, identity, limits of streams."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

import grpc
import structlog
from grpc_status import rpc_status

from entrance import deadlines
from entrance_server.domain.errors import EntranceError, Exhausted, PermissionDenied
from entrance_server.rpc import caller, errors
from entrance_server.rpc.credentials import CredentialsReader
from entrance_server.rpc.edge import Context, Handler, Method
from entrance_server.service.auth import Authenticator


class Observer(Protocol):
    """Is told of every call when it ends; must not block."""

    def __call__(
        self, method: Method, *, user: str, code: grpc.StatusCode, seconds: float
    ) -> None: ...


class CallLog:
    """An observer that writes a debug line for each call."""

    def __init__(self) -> None:
        self._log = structlog.get_logger(__name__).bind()

    def __call__(self, method: Method, *, user: str, code: grpc.StatusCode, seconds: float) -> None:
        self._log.debug("call", method=method.name, user=user, code=code.name, seconds=seconds)


class Observation:
    """Tells observers how each call ended and how long it took. Stands outside of Errors."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def wrap(self, method: Method, handler: Handler) -> Handler:
        async def call(request: Any, context: Context) -> Any:
            started = time.perf_counter()
            code = grpc.StatusCode.OK
            try:
                return await handler(request, context)
            except grpc.aio.AbortError:
                code = context.code()
                raise
            except (grpc.aio.BaseError, asyncio.CancelledError):
                code = grpc.StatusCode.CANCELLED  # its client is gone, or the server stops
                raise
            finally:
                seconds = time.perf_counter() - started
                for observer in self._observers:
                    observer(method, user=caller.user(), code=code, seconds=seconds)

        return call


class Errors:
    """Turns what a handler raises into a status with details."""

    def __init__(self) -> None:
        self._log = structlog.get_logger(__name__).bind()

    def wrap(self, method: Method, handler: Handler) -> Handler:
        async def call(request: Any, context: Context) -> Any:
            try:
                return await handler(request, context)
            except grpc.aio.BaseError:
                raise  # gRPC's own: the call was aborted, or its client is gone
            except Exception as error:
                told = self._told(method, error)
            await context.abort_with_status(rpc_status.to_status(errors.status_of(told)))

        return call

    def _told(self, method: Method, error: Exception) -> EntranceError:
        """What the caller is told. What it is not told is in the log."""
        known = errors.known(error)
        if known is None:
            return self._incident(method, error)
        if known is not error:
            self._log.warning("call refused", method=method.name, error=str(error))
        return known

    def _incident(self, method: Method, error: Exception) -> EntranceError:
        incident = uuid.uuid4().hex
        self._log.error("call failed", method=method.name, incident=incident, exc_info=error)
        return errors.InternalError(incident)


class Deadlines:
    """Gives each unary call a deadline, in seconds, where its caller set none."""

    def __init__(self, default: float) -> None:
        self._default = default
        self._deadlines = deadlines.Deadlines()

    def wrap(self, method: Method, handler: Handler) -> Handler:
        if method.streams:
            return handler

        async def call(request: Any, context: Context) -> Any:
            if cast(float | None, context.time_remaining()) is not None:
                return await handler(request, context)
            try:
                with self._deadlines.within(self._default) as limit:
                    return await handler(request, context)
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise errors.DeadlineExceeded(
                    f"The call took longer than {self._default:g} s, the limit of calls without a "
                    "deadline; set one to give it longer."
                ) from error

        return call


class Identity:
    """Finds out who calls. A service or method that is not open needs credentials.

    A stream ends when what its caller identified himself with is no longer valid.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        *,
        credentials: CredentialsReader,
        open_services: Collection[str],
        open_methods: Collection[str],
        admin_services: Collection[str],
    ) -> None:
        self._authenticator = authenticator
        self._credentials = credentials
        self._open_services = frozenset(open_services)
        self._open_methods = frozenset(open_methods)
        self._admin = frozenset(admin_services)

    def wrap(self, method: Method, handler: Handler) -> Handler:
        if method.service in self._open_services:
            return handler
        if method.name in self._open_methods:
            return self._open(handler)
        needs_admin = method.service in self._admin

        async def call(request: Any, context: Context) -> Any:
            credentials = self._credentials.read(context)
            caller.set_credentials(credentials)
            grant = await self._authenticator.authenticate(credentials)
            caller.set_grant(grant)
            if needs_admin and not grant.principal.is_admin:
                raise PermissionDenied("This is for administrators alone; send a token of one.")
            if not method.streams:
                return await handler(request, context)
            async with self._authenticator.holding(grant):
                return await handler(request, context)

        return call

    def _open(self, handler: Handler) -> Handler:
        async def call(request: Any, context: Context) -> Any:
            caller.set_credentials(self._credentials.read(context))
            return await handler(request, context)

        return call


class Streams:
    """Limits the streams that one user has open at once. Stands inside of Identity."""

    def __init__(self, per_user: int) -> None:
        self._per_user = per_user
        self._open: Counter[str] = Counter()

    def wrap(self, method: Method, handler: Handler) -> Handler:
        if not method.streams:
            return handler

        async def call(request: Any, context: Context) -> Any:
            with self._slot(caller.user()):
                return await handler(request, context)

        return call

    @contextmanager
    def _slot(self, user: str) -> Iterator[None]:
        if self._open[user] >= self._per_user:
            raise Exhausted(
                f"{user or 'Callers without credentials'} can't have more than {self._per_user} "
                "streams open at once; end one first.",
                reason="STREAM_LIMIT",
            )
        self._open[user] += 1
        try:
            yield
        finally:
            self._open[user] -= 1
            if not self._open[user]:
                del self._open[user]
