"""The gRPC server: the public service, and beside it health, reflection and channelz."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import grpc
from grpc_channelz.v1 import channelz, channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from entrance.tunnel.v1 import tunnel_pb2_grpc
from entrance.v1 import (
    entrance_pb2,
    entrance_pb2_grpc,
    files_pb2,
    files_pb2_grpc,
    history_pb2,
    history_pb2_grpc,
    operation_pb2,
    operation_pb2_grpc,
    users_pb2,
    users_pb2_grpc,
)
from entrance_server.domain.addresses import LOOPBACK, Network
from entrance_server.rpc import layers, tunnel
from entrance_server.rpc.audit import Audit, AuditSink
from entrance_server.rpc.credentials import CredentialsReader
from entrance_server.rpc.edge import Edge
from entrance_server.rpc.hops import Seal
from entrance_server.rpc.routing import Routing
from entrance_server.service.auth import Authenticator

SERVICE: Final = entrance_pb2.DESCRIPTOR.services_by_name["EntranceService"].full_name
USER_SERVICE: Final = users_pb2.DESCRIPTOR.services_by_name["UserService"].full_name
ADMINISTRATION: Final = users_pb2.DESCRIPTOR.services_by_name["AdministrationService"].full_name
HISTORY: Final = history_pb2.DESCRIPTOR.services_by_name["HistoryService"].full_name
FILES: Final = files_pb2.DESCRIPTOR.services_by_name["FileService"].full_name
OPERATION: Final = operation_pb2.DESCRIPTOR.services_by_name["OperationService"].full_name
OPEN_METHODS: Final = (f"/{USER_SERVICE}/Login", f"/{USER_SERVICE}/GetPublicKey")
CHANNELZ: Final = channelz_pb2.DESCRIPTOR.services_by_name["Channelz"].full_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one server and one caller may use at most."""

    request_bytes: int = 4 * 1024 * 1024
    concurrent_calls: int = 20_000
    streams_per_user: int = 1_000
    connections: int = 4_000  # at each address that is listened on
    connection_idle: float = 300.0  # seconds without a call, after which a connection is closed
    handshake_deadline: float = 10.0  # seconds until a new connection speaks gRPC
    request_deadline: float = 20.0  # seconds until a call has sent its request
    default_deadline: float = 60.0  # seconds, for unary calls that set none
    keepalive_interval: float = 60.0  # seconds of silence after which a client is asked for a sign
    keepalive_timeout: float = 20.0  # seconds that it has for it
    ping_interval: float = 10.0  # seconds that a client leaves between pings of its own


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the public API: its full name, its servicer, and what registers it."""

    name: str
    servicer: Any
    register: Callable[[Any, grpc.aio.Server], None]


def entrance(servicer: entrance_pb2_grpc.EntranceServiceServicer) -> Service:
    """EntranceService."""
    return Service(SERVICE, servicer, entrance_pb2_grpc.add_EntranceServiceServicer_to_server)


def users(servicer: users_pb2_grpc.UserServiceServicer) -> Service:
    """UserService."""
    return Service(USER_SERVICE, servicer, users_pb2_grpc.add_UserServiceServicer_to_server)


def administration(servicer: users_pb2_grpc.AdministrationServiceServicer) -> Service:
    """AdministrationService."""
    return Service(
        ADMINISTRATION, servicer, users_pb2_grpc.add_AdministrationServiceServicer_to_server
    )


def history(servicer: history_pb2_grpc.HistoryServiceServicer) -> Service:
    """HistoryService."""
    return Service(HISTORY, servicer, history_pb2_grpc.add_HistoryServiceServicer_to_server)


def files(servicer: files_pb2_grpc.FileServiceServicer) -> Service:
    """FileService."""
    return Service(FILES, servicer, files_pb2_grpc.add_FileServiceServicer_to_server)


def operation(servicer: operation_pb2_grpc.OperationServiceServicer) -> Service:
    """OperationService, for administrators."""
    return Service(OPERATION, servicer, operation_pb2_grpc.add_OperationServiceServicer_to_server)


def create_server(
    services: Sequence[Service],
    *,
    authenticator: Authenticator,
    health_servicer: health.aio.HealthServicer,
    trusted_gateways: Sequence[Network] = LOOPBACK,
    limits: Limits = Limits(),
    observers: Sequence[layers.Observer] = (),
    audit: AuditSink | None = None,
    seal: Seal | None = None,
    routing: Routing | None = None,
) -> grpc.aio.Server:
    """A server without a port, not yet started.

    Args:
        services: What is served of the public API.
        authenticator: Knows callers. Only health, reflection and a login are open to others.
        health_servicer: Tells the status of SERVICE and of the server (""), which the caller sets.
        trusted_gateways: Whose word is taken for the address of a caller.
        limits: What is refused as too much.
        observers: Are told of every call when it ends, beside the debug log.
        audit: Is told who did what, and who was refused.
        seal: Knows calls that another server of the installation hands on.
        routing: Hands on those about jobs of other servers; None where there are no others.
    """
    edge = Edge(
        [
            layers.Observation([layers.CallLog(), *observers]),
            layers.Errors(),
            *([Audit(audit)] if audit else []),
            layers.Deadlines(limits.default_deadline),
            layers.Identity(
                authenticator,
                credentials=CredentialsReader(trusted_gateways, seal=seal),
                open_services=(health.SERVICE_NAME, reflection.SERVICE_NAME, tunnel.SERVICE),
                open_methods=OPEN_METHODS,
                admin_services=(CHANNELZ, OPERATION),
            ),
            layers.Streams(limits.streams_per_user),
            *([routing] if routing else []),
        ],
        request_deadline=limits.request_deadline,
    )
    registry = cast(grpc.aio.Server, edge)  # as far as generated code goes
    for service in services:
        service.register(service.servicer, registry)
    tunnel_pb2_grpc.add_TunnelServiceServicer_to_server(
        tunnel.TunnelServicer(edge.unary_handlers()), registry
    )
    names = (*(one.name for one in services), health.SERVICE_NAME, reflection.SERVICE_NAME)
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, registry)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
        reflection.aio.ReflectionServicer(names), registry
    )
    channelz_pb2_grpc.add_ChannelzServicer_to_server(channelz.aio.ChannelzServicer(), registry)
    return grpc.aio.server(
        handlers=[edge],
        options=_options(limits),
        maximum_concurrent_rpcs=limits.concurrent_calls,
    )


def _options(limits: Limits) -> list[tuple[str, Any]]:
    return [
        ("grpc.enable_channelz", 1),
        ("grpc.so_reuseport", 0),  # a second server on the port fails instead of sharing it
        ("grpc.max_receive_message_length", limits.request_bytes),
        ("grpc.max_allowed_incoming_connections", limits.connections),
        ("grpc.max_connection_idle_ms", round(limits.connection_idle * 1000)),
        ("grpc.server_handshake_timeout_ms", round(limits.handshake_deadline * 1000)),
        ("grpc.keepalive_time_ms", round(limits.keepalive_interval * 1000)),
        ("grpc.keepalive_timeout_ms", round(limits.keepalive_timeout * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),  # a quiet stream is asked as long as it lasts
        (
            "grpc.http2.min_ping_interval_without_data_ms",
            round(limits.ping_interval * 1000),
        ),
    ]
