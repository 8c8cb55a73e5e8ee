"""The commands, in the order in which help lists them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TypeAlias

import typer

from entrance.cli import (
    control,
    engines,
    exits,
    follow,
    invocation,
    listing,
    operation,
    results,
    serve,
    submit,
    tokens,
    users,
)
from entrance.cli.exits import ExitCode

Command: TypeAlias = Callable[..., ExitCode | None]

_GROUPS: Mapping[str, tuple[str, Mapping[str, Command]]] = {
    "user": (
        "Add users, set passwords, list, disable and enable users.",
        {
            "add": users.add,
            "passwd": users.passwd,
            "list": users.list_users,
            "disable": users.disable,
            "enable": users.enable,
        },
    ),
    "token": (
        "Make, list and revoke tokens.",
        {"create": tokens.create, "list": tokens.list_tokens, "revoke": tokens.revoke},
    ),
}

HELP = """
Submit code to an engine, watch it run, control it and read its results.

An ID is an execID or a taskID. Results go to stdout and messages to stderr.
"""


def run() -> None:
    """Runs the command line."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what it tells is told by our own errors
    build()(prog_name="entrance")


def build() -> typer.Typer:
    """The command line with all its commands."""
    app = typer.Typer(
        name="entrance",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        epilog=exits.HELP,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    invocation.root(app, HELP)
    commands: dict[str, Command] = {
        "serve": serve.serve,
        "server": serve.server,
        "gateway": serve.gateway,
        "submit": submit.submit,
        "status": listing.status,
        "log": follow.log,
        "progress": follow.progress,
        "result": results.result,
        "kill": control.kill,
        "pause": control.pause,
        "resume": control.resume,
        "list": listing.list_jobs,
        "job": listing.job,
        "engines": engines.engines,
        "load": operation.load,
        "drain": operation.drain,
        "undrain": operation.undrain,
    }
    for name, command in commands.items():
        invocation.add(app, name, command, calls=name not in ("serve", "server", "gateway"))
    for name, (help, members) in _GROUPS.items():
        group = typer.Typer(no_args_is_help=True, help=help)
        for member, command in members.items():
            invocation.add(group, member, command)
        app.add_typer(group, name=name)
    return app
