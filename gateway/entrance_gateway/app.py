"""The application: every annotated operation of the public API at its path."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from entrance_gateway import health, openapi
from entrance_gateway.backend import Backend
from entrance_gateway.config import GatewaySettings
from entrance_gateway.edge import Admission, Edge
from entrance_gateway.endpoints import Gateway, endpoint_for
from entrance_gateway.operations import SERVICES, operations_of
from entrance_gateway.origins import Origins
from entrance_gateway.paths import PathTemplate
from entrance_gateway.reference import Reference
from entrance_gateway.routing import Routes

_CORS_METHODS = ("GET", "HEAD", "POST")
_CORS_HEADERS = ("Authorization", "Content-Type", "Last-Event-ID", "Token-Code", "Token-User")
_CORS_EXPOSED = ("Content-Disposition", "Retry-After")


class Application:
    """The gateway as an ASGI application.

    `closing` is an event to set when open streams have to end; `routes` are the resources.

    Args:
        settings: where the server is, and the limits.
        channel: the way to the server, which stays the caller's; None opens one to
            `settings.server_target` while the application runs.
    """

    def __init__(self, settings: GatewaySettings, channel: grpc.aio.Channel | None = None) -> None:
        self.closing = asyncio.Event()
        origins = Origins(settings.allowed_origins, https=settings.https)
        self._backend = Backend(settings, channel)
        gateway = Gateway(settings, self._backend, self.closing, origins)
        self.routes = Routes(_endpoints(gateway))
        self._lifespan = Router(lifespan=self._running)
        self._http = _surrounded(Edge(self.routes), settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or sees to start and end of the application."""
        own = self._http if scope["type"] == "http" else self._lifespan
        await own(scope, receive, send)

    @asynccontextmanager
    async def _running(self, _: object) -> AsyncIterator[None]:
        async with self._backend:
            yield


def _surrounded(app: ASGIApp, settings: GatewaySettings) -> ASGIApp:
    """An application with what stands outside of the edge where an operator asks for it."""
    if settings.allowed_origins:
        app = CORSMiddleware(
            app,
            allow_origins=settings.allowed_origins,
            allow_credentials=True,
            allow_methods=_CORS_METHODS,
            allow_headers=_CORS_HEADERS,
            expose_headers=_CORS_EXPOSED,
        )
    if settings.trusted_proxies:
        proxies = [str(network) for network in settings.trusted_proxies]
        app = cast(ASGIApp, ProxyHeadersMiddleware(cast(Any, app), trusted_hosts=proxies))
    return app


def _endpoints(gateway: Gateway) -> Iterable[tuple[PathTemplate, str, ASGIApp]]:
    # probes and the reference pass without
    requests = Admission(gateway.settings.max_requests, "requests")
    streams = Admission(gateway.settings.max_streams, "streams")
    for operation in operations_of(SERVICES):
        admission = streams if operation.streams else requests
        endpoint = admission.guard(endpoint_for(operation, gateway))
        yield from ((operation.path, verb, endpoint) for verb in operation.verbs)
    others: Mapping[str, ASGIApp] = {
        "/health": health.alive,
        "/ready": health.Readiness(gateway.backend),
        openapi.PATH: Reference(),
    }
    for path, other in others.items():
        yield from ((PathTemplate.parse(path), verb, other) for verb in ("GET", "HEAD"))
