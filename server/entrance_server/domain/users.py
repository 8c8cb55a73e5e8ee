"""Who may call: users, the sessions that their logins opened, and tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")


def is_user_name(text: str) -> bool:
    """Whether a text can be a user's name: letters, digits and `_ . @ -`, at most 64."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may log in; of his password only a hash is kept, None where he has none.

    Not everybody who calls is such a user: a token may be made for, and a job run as, any name.
    """

    name: str
    password_hash: str | None
    is_admin: bool
    create_time: datetime
    disabled: bool = False
    login_count: int = 0
    last_login_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class LoginSession:
    """What a login opened; only the hash of its ticket is kept."""

    ticket_hash: bytes
    user: str
    create_time: datetime
    last_used_time: datetime


@dataclass(frozen=True, slots=True)
class Token:
    """A credential; only the hash of its secret is kept.

    A bearer acts as `user`, with `token-user` also as one of `for_users`, where `*` means anybody.
    `hosts` are addresses and networks that it is accepted from, none of them meaning any.
    """

    token_id: str
    user: str
    is_admin: bool
    secret_hash: bytes
    create_time: datetime
    for_users: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    expire_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Revocation:
    """What lets nobody in any more: a token, a login session, or all that is a user's."""

    token_id: str = ""
    ticket_hash: bytes = b""
    user: str = ""
    logins_only: bool = False
    """Whether the user's tokens and those that act for him stay good."""
