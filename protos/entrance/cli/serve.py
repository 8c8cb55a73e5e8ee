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
) -> None:
    """Start server and gateway, and stop both on Ctrl-C or SIGTERM.

    The chosen ports are printed and stand in endpoints.json in the data directory.
    """
    from entrance.cli.supervisor import Plan, run
    from entrance.client import discovery

    _require("entrance_server", "entrance_gateway")
    plan = Plan((data_dir or discovery.data_dir()).absolute(), host, grpc_port, http_port)
    run(plan, lambda endpoints: _tell(invocation.output, plan, endpoints))


def server(
    invocation: Invocation,
    data_dir: DataDir = None,
    host: Host = None,
    port: Port = None,
    ready_file: ReadyFile = None,
) -> None:
    """Start the server alone.

    What is not said here is taken from the environment: ENTRANCE_HOST, ENTRANCE_PORT and so on.
    """
    from entrance.cli import children

    _become(children.server_command(data_dir, host, port, ready_file))


def gateway(
    invocation: Invocation,
    host: Host = None,
    port: Port = None,
    server_target: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where the server listens.")
    ] = None,
    ready_file: ReadyFile = None,
) -> None:
    """Start the gateway alone.

    What is not said here is taken from the environment: ENTRANCE_GATEWAY_HOST and so on.
    """
    from entrance.cli import children

    _become(children.gateway_command(host, port, server_target, ready_file))


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
    output.line(f"REST  http://{endpoints.http}/api/rest_j/v1")
    output.line(f"data  {plan.data_dir}")
    output.line("Submit a first job:")
    output.line(
        f"  ENTRANCE_DATA_DIR={shlex.quote(str(plan.data_dir))} "
        "entrance submit -e 'select 42 as answer' --engine duckdb --follow"
    )
