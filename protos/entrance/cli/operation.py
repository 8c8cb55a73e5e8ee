"""`entrance load`, `drain` and `undrain`: what operators do with a server."""

from __future__ import annotations

from typing import Annotated

import typer

from entrance.cli.invocation import Invocation

User = Annotated[str, typer.Option(help="Count this user's jobs alone.")]
Creator = Annotated[str, typer.Option(help="Count jobs of this application alone.")]
Engine = Annotated[str, typer.Option(help="Count jobs of this engine alone.")]


def load(
    invocation: Invocation, user: User = "", creator: Creator = "", engine: Engine = ""
) -> None:
    """Show how many jobs a server has, and what each group runs and may run.

    For administrators.
    """
    from entrance.cli import shapes

    with invocation.client() as client:
        online = client.operations.is_online()
        counts = client.operations.count_jobs(user=user, creator=creator, engine=engine)
        groups = client.operations.groups()
    output = invocation.output
    if output.json:
        output.object(shapes.load(online, counts, groups))
        return
    output.line(f"{'online' if online else 'offline'}: {counts.running} run, {counts.waiting} wait")
    output.table(
        ["USER", "CREATOR", "ENGINE", "RUN", "OF", "WAIT", "OF"],
        [
            [
                *(group.user, group.creator, group.engine_type),
                *(str(group.running), str(group.max_running)),
                *(str(group.waiting), str(group.max_waiting)),
            ]
            for group in groups
        ],
    )


def drain(invocation: Invocation) -> None:
    """Let a server take no new jobs, after a restart too; those that it has go on.

    For administrators. `entrance load` shows when none is left.
    """
    with invocation.client() as client:
        client.operations.drain()
    _tell(invocation, False)


def undrain(invocation: Invocation) -> None:
    """Let a server take new jobs again. For administrators."""
    with invocation.client() as client:
        client.operations.undrain()
    _tell(invocation, True)


def _tell(invocation: Invocation, online: bool) -> None:
    if invocation.output.json:
        invocation.output.object({"isOnline": online})
    else:
        invocation.output.line("online" if online else "offline")
