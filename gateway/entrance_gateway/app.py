"""The application: every annotated operation of the public API at its path."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

import grpc
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp
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
from entrance_gateway.routing import resources, unknown_path

_CORS_METHODS = ("GET", "HEAD", "POST")
_CORS_HEADERS = ("Authorization", "Content-Type", "Last-Event-ID", "Token-Code", "Token-User")
_CORS_EXPOSED = ("Content-Disposition", "Retry-After")


def create_app(settings: GatewaySettings, channel: grpc.aio.Channel | None = None) -> Starlette:
    """The gateway as an ASGI application.

    Its `state.closing` is an event to set when open streams have to end.

    Args:
        settings: where the server is, and the limits.
        channel: the way to the server, which stays the caller's; None opens one to
            `settings.server_target` while the application runs.
    """
    origins = Origins(settings.allowed_origins, https=settings.https)
    gateway = Gateway(settings, Backend(settings, channel), asyncio.Event(), origins)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with gateway.backend:
            yield

    app = Starlette(
        routes=resources(_endpoints(gateway)),
        middleware=[*_around(settings), Middleware(Edge)],
        lifespan=lifespan,
    )
    app.router.default = unknown_path
    app.router.redirect_slashes = False
    app.state.closing = gateway.closing
    return app


def _around(settings: GatewaySettings) -> Iterable[Middleware]:
    """What stands outside of the edge where an operator asks for it."""
    if settings.trusted_proxies:
        proxies = [str(network) for network in settings.trusted_proxies]
        yield Middleware(ProxyHeadersMiddleware, trusted_hosts=proxies)
    if settings.allowed_origins:
        yield Middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_credentials=True,
            allow_methods=_CORS_METHODS,
            allow_headers=_CORS_HEADERS,
            expose_headers=_CORS_EXPOSED,
        )


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
