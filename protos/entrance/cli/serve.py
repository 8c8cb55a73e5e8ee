"""`entrance serve`, `server` and `gateway`: start the service, or a part of it alone."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from entrance.cli.invocation import Invocation
from entrance.cli.problems import Problem

if TYPE_CHECKING:
    from entrance.cli.output import Output
    from entrance.cli.supervisor import Endpoints, Plan

Port = Annotated[int | None, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")]
Host = Annotated[str | None, typer.Option(help="The address to listen on.")]
ReadyFile = Annotated[
    Path | None, typer.Option(help="A file to write the port to, once calls are answered.")
]
ServerCert = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A certificate, with those of the authorities in between, to serve by TLS.",
    ),
]
ServerKey = Annotated[Path | None, typer.Option(metavar="FILE", help="The certificate's key.")]
ClientCa = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Authorities by one of which every gRPC caller's own certificate must be issued.",
    ),
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure", help="Listen beyond this machine without TLS, on a network that is trusted."
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="A TOML file of the server's settings. Default: $ENTRANCE_CONFIG."
    ),
]
# A library that only the extra brings; the wheel has the modules themselves in any case.
_BROUGHT = {"entrance_server": "sqlalchemy", "entrance_gateway": "starlette"}

DataDir = Annotated[
    Path | None,
    typer.Option(
        envvar="ENTRANCE_DATA_DIR",
        help="Where database, logs, results and token are. Default: entrance in $XDG_DATA_HOME, "
        "else ~/.local/share/entrance.",
    ),
]


def serve(
    invocation: Invocation,
    data_dir: DataDir = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    grpc_port: Annotated[
        int, typer.Option(min=0, max=65535, help="The gRPC port; 0 takes a free one.")
    ] = 9104,
    http_port: Annotated[
        int, typer.Option(min=0, max=65535, help="The HTTP port; 0 takes a free one.")
    ] = 9001,
    config: Config = None,
    tls_cert: ServerCert = None,
    tls_key: ServerKey = None,
    tls_client_ca: ClientCa = None,
    insecure: Insecure = False,
) -> None:
    """Start server and gateway, and stop both on Ctrl-C or SIGTERM.

    The chosen ports are printed and stand in endpoints.json in the data directory. Certificates
    are read again when they change.
    """
    from entrance.cli.supervisor import Plan, run
    from entrance.client import discovery

    _require("entrance_server", "entrance_gateway")
    plan = Plan(
        data_dir=(data_dir or discovery.data_dir()).absolute(),
        host=host,
        grpc_port=grpc_port,
        http_port=http_port,
        config=config,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        insecure=insecure,
    )
    run(plan, lambda endpoints: _tell(invocation.output, plan, endpoints))


def server(
    invocation: Invocation,
    data_dir: DataDir = None,
    host: Host = None,
    port: Port = None,
    config: Config = None,
    tls_cert: ServerCert = None,
    tls_key: ServerKey = None,
    tls_client_ca: ClientCa = None,
    insecure: Insecure = False,
    ready_file: ReadyFile = None,
) -> None:
    """Start the server alone.

    What is not said here is taken from the environment, ENTRANCE_HOST, ENTRANCE_PORT and so on, and
    from a file of settings.
    """
    from entrance.cli import children

    command = children.server_command(
        config=config,
        data_dir=data_dir,
        host=host,
        port=port,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        insecure=insecure,
        ready_file=ready_file,
    )
    _become(command)


def gateway(
    invocation: Invocation,
    host: Host = None,
    port: Port = None,
    server_target: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Where the server listens; several servers with commas."
        ),
    ] = None,
    tls_cert: ServerCert = None,
    tls_key: ServerKey = None,
    server_tls: Annotated[
        bool,
        typer.Option("--server-tls", help="Call it by TLS and trust the system's authorities."),
    ] = False,
    server_tls_ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Call it by TLS and trust these authorities alone."),
    ] = None,
    server_tls_cert: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The gateway's own certificate, for a server that asks for one.",
        ),
    ] = None,
    server_tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The key of that certificate.")
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Listen beyond this machine, or call a server there, without TLS, on a network "
            "that is trusted.",
        ),
    ] = False,
    ready_file: ReadyFile = None,
) -> None:
    """Start the gateway alone.

    What is not said here is taken from the environment: ENTRANCE_GATEWAY_HOST and so on.
    """
    from entrance.cli import children

    command = children.gateway_command(
        host=host,
        port=port,
        server_target=server_target,
        tls_cert=tls_cert,
        tls_key=tls_key,
        server_tls=server_tls,
        server_tls_ca=server_tls_ca,
        server_tls_cert=server_tls_cert,
        server_tls_key=server_tls_key,
        insecure=insecure,
        ready_file=ready_file,
    )
    _become(command)


def _become(command: Sequence[str]) -> None:
    """Turns this process into a module's, so that signals and exit status are the module's own."""
    _require(command[0])
    os.execv(sys.executable, [sys.executable, "-m", *command])


def _require(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(_BROUGHT[module]) is None:
            extra = module.removeprefix("entrance_")
            raise Problem(f"the {extra} is not installed; pip install 'entrance[server,gateway]'")


def _tell(output: Output, plan: Plan, endpoints: Endpoints) -> None:
    if output.json:
        output.object(endpoints.as_object())
        return
    output.line(f"gRPC  {endpoints.grpc}")
    scheme = "https" if endpoints.http.tls else "http"
    output.line(f"REST  {scheme}://{endpoints.http}/api/rest_j/v1")
    output.line(f"data  {plan.data_dir}")
    output.line("Submit a first job:")
    output.line(
        f"  ENTRANCE_DATA_DIR={shlex.quote(str(plan.data_dir))} "
        "entrance submit -e 'select 42 as answer' --engine duckdb --follow"
    )
