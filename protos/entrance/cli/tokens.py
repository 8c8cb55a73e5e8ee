"""`entrance token`: makes, lists and revokes tokens."""

from __future__ import annotations

from typing import Annotated

import typer

from entrance.cli import times
from entrance.cli.invocation import Invocation


def create(
    invocation: Invocation,
    user: Annotated[str, typer.Option(metavar="NAME", help="Whose token it is.")],
    admin: Annotated[
        bool,
        typer.Option("--admin", help="With the rights of an administrator, which the user is."),
    ] = False,
    for_users: Annotated[
        str,
        typer.Option(
            metavar="NAME,...", help="For whom a caller may act by Token-User; * is anybody."
        ),
    ] = "",
    hosts: Annotated[
        str,
        typer.Option(metavar="HOST,...", help="Addresses or networks that it is accepted from."),
    ] = "",
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="When it ends: 30d, 12h or 2030-01-31T08:00:00Z. Default: never."
        ),
    ] = None,
) -> None:
    """Make a token and print its secret, which is not shown again. For administrators."""
    from entrance.cli import shapes

    expire_time = None if expires is None else times.moment("--expires", expires)
    with invocation.client() as client:
        made = client.administration.create_token(
            user,
            is_admin=admin,
            for_users=_names(for_users),
            hosts=_names(hosts),
            expire_time=expire_time,
        )
    output = invocation.output
    if output.json:
        output.object({**shapes.token(made.token), "secret": made.secret})
        return
    output.line(made.secret)
    output.note(f"token {made.token.token_id} of {user}; keep the secret, it is not shown again")


def list_tokens(invocation: Invocation) -> None:
    """List the tokens by time of creation, without secrets. For administrators."""
    from entrance.cli import shapes

    output = invocation.output
    with invocation.client() as client:
        tokens = client.administration.tokens()
        if output.json:
            for token in tokens:
                output.object(shapes.token(token))
            return
        output.table(
            ["TOKEN ID", "USER", "ADMIN", "FOR USERS", "HOSTS", "CREATED", "EXPIRES"],
            [
                [
                    token.token_id,
                    token.user,
                    "yes" if token.is_admin else "no",
                    ", ".join(token.for_users),
                    ", ".join(token.hosts),
                    times.local(token.create_time),
                    times.local(token.expire_time),
                ]
                for token in tokens
            ],
        )


def revoke(
    invocation: Invocation,
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The token's id.")],
) -> None:
    """End a token at once. For administrators."""
    with invocation.client() as client:
        client.administration.revoke_token(token_id)
    if invocation.output.json:
        invocation.output.object({"tokenID": token_id})
    else:
        invocation.output.line(f"revoked {token_id}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")] if text else []
