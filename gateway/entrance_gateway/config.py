"""The gateway's settings, read from the environment in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, IPvAnyNetwork, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "ENTRANCE_GATEWAY_"  # of the variables of the environment

Origin = Annotated[str, Field(pattern=r"^https?://[^/\s]+$")]


class GatewaySettings(BaseSettings):
    """What an operator may set; each as `ENTRANCE_GATEWAY_<NAME>`. Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    host: str = Field(default="127.0.0.1", description="the address to listen on")
    port: int = Field(default=9001, ge=0, le=65535, description="0 takes a free one")
    server_target: str = Field(
        default="127.0.0.1:9104",
        description="the gRPC target of the server; of several, `host:port` of each with commas",
    )

    tls_cert: Path | None = Field(
        default=None, description="certificate and those of the authorities in between, as PEM"
    )
    tls_key: Path | None = Field(default=None, description="its key, as PEM, not encrypted")
    allow_insecure: bool = Field(
        default=False,
        description="listen beyond this machine, or call a server there, without TLS all the same",
    )
    server_tls: bool = Field(
        default=False, description="call the server by TLS, trusting the system's authorities"
    )
    server_tls_ca: Path | None = Field(
        default=None, description="call it by TLS, trusting these authorities (PEM) alone"
    )
    server_tls_cert: Path | None = Field(
        default=None, description="the gateway's own certificate, for a server that asks for one"
    )
    server_tls_key: Path | None = Field(default=None, description="the key of that certificate")

    https: bool = Field(
        default=False, description="callers come by HTTPS, though what stands before it ends TLS"
    )
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        default=(), description="whose X-Forwarded-For and X-Forwarded-Proto are believed"
    )
    allowed_origins: tuple[Origin, ...] = Field(
        default=(),
        description="origins, such as https://console.example, whose pages may act for a user",
    )

    body_limit: PositiveInt = Field(
        default=2 * 1024 * 1024, description="bytes of a request's body"
    )
    message_limit: PositiveInt = Field(
        default=32 * 1024 * 1024, description="bytes of one gRPC answer"
    )
    tunnel: bool = Field(default=True, description="gather unary calls to the server in one stream")
    max_requests: PositiveInt = Field(default=1_000, description="requests at once, beside streams")
    max_streams: PositiveInt = Field(
        default=2_000, description="streams at once: followed jobs and files on their way"
    )
    max_connections: PositiveInt = Field(
        default=5_000, description="connections at once; idle ones make room for new ones"
    )

    body_deadline: PositiveFloat = Field(default=30, description="to receive a request's body")
    call_deadline: PositiveFloat = Field(
        default=30, description="for a call, and for each piece of a streamed result"
    )
    ready_deadline: PositiveFloat = Field(default=2, description="for the server's own health")
    open_wait: PositiveFloat = Field(
        default=1,
        description="a stream's first message may take this long to tell an error by status",
    )
    keep_alive: PositiveFloat = Field(default=15, description="between comments on a silent stream")
    idle_connection: PositiveInt = Field(
        default=30, description="until an idle connection is closed"
    )
    shutdown_grace: PositiveInt = Field(default=5, description="for open requests when stopping")
