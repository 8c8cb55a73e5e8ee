"""`entrance user`: adds users, sets passwords, lists, disables and enables them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from entrance.cli import times
from entrance.cli.invocation import Invocation
from entrance.cli.problems import Problem

if TYPE_CHECKING:
    from entrance.client import User

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]
FromStdin = Annotated[
    bool,
    typer.Option(
        "--password-stdin",
        help="Read the password from stdin. Default on a terminal: it is asked for.",
    ),
]


def add(
    invocation: Invocation,
    name: Name,
    admin: Annotated[bool, typer.Option("--admin", help="Make him an administrator.")] = False,
    password_stdin: FromStdin = False,
) -> None:
    """Add a user, who can log in by his password. For administrators."""
    password = _password(password_stdin)
    with invocation.client() as client:
        user = client.administration.create_user(name, password, is_admin=admin)
    _tell(invocation, user, "added")


def passwd(invocation: Invocation, name: Name, password_stdin: FromStdin = False) -> None:
    """Set a user's password and end his login sessions.

    For administrators, and for the user himself.
    """
    password = _password(password_stdin)
    with invocation.client() as client:
        client.administration.set_password(name, password)
    if invocation.output.json:
        invocation.output.object({"name": name})
    else:
        invocation.output.line(f"password set for {name}")


def list_users(invocation: Invocation) -> None:
    """List the users by name. For administrators."""
    from entrance.cli import shapes

    output = invocation.output
    with invocation.client() as client:
        users = client.administration.users()
        if output.json:
            for user in users:
                output.object(shapes.user(user))
            return
        output.table(
            ["NAME", "ADMIN", "STATE", "ADDED", "LAST LOGIN"],
            [
                [
                    user.name,
                    "yes" if user.is_admin else "no",
                    "disabled" if user.disabled else "enabled",
                    times.local(user.create_time),
                    times.local(user.last_login_time),
                ]
                for user in users
            ],
        )


def disable(invocation: Invocation, name: Name) -> None:
    """Refuse a user at once, whatever he holds; his jobs go on. For administrators."""
    with invocation.client() as client:
        user = client.administration.disable_user(name)
    _tell(invocation, user, "disabled")


def enable(invocation: Invocation, name: Name) -> None:
    """Let a disabled user in again. For administrators."""
    with invocation.client() as client:
        user = client.administration.enable_user(name)
    _tell(invocation, user, "enabled")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return _read_password()
    if not sys.stdin.isatty():
        raise Problem("stdin is no terminal; use --password-stdin to read the password from it")
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password


def _read_password() -> str:
    """The password on stdin; one line's end after it is not part of it."""
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise Problem("the password on stdin is not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")


def _tell(invocation: Invocation, user: User, what: str) -> None:
    from entrance.cli import shapes

    if invocation.output.json:
        invocation.output.object(shapes.user(user))
    else:
        invocation.output.line(f"{what} {user.name}")
