"""Secrets and the tokens that they belong to, and the administrator's first one."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from entrance_server.data_dir import write_private
from entrance_server.domain.users import Token, User
from entrance_server.store.port import Store

ADMIN_USER = "admin"
ADMIN_TOKEN_FILE = "admin.token"
ANYBODY = "*"  # among those whom a token may act for


def hash_secret(secret: str) -> bytes:
    """What is kept of a secret. A plain digest does, since secrets are 256 random bits."""
    return hashlib.sha256(secret.encode()).digest()


def new_token(
    user: str,
    *,
    is_admin: bool,
    token_id: str | None = None,
    for_users: Sequence[str] = (),
    hosts: Sequence[str] = (),
    expire_time: datetime | None = None,
) -> tuple[Token, str]:
    """A new token and its secret, which is not kept anywhere."""
    secret = f"ent_{secrets.token_urlsafe(32)}"
    token = Token(
        token_id=token_id or secrets.token_hex(8),
        user=user,
        is_admin=is_admin,
        secret_hash=hash_secret(secret),
        create_time=datetime.now(UTC),
        for_users=tuple(for_users),
        hosts=tuple(hosts),
        expire_time=expire_time,
    )
    return token, secret


def may_act_for(token: Token, user: str) -> bool:
    """Whether a token lets its bearer act as a user."""
    return user in (token.user, *token.for_users) or ANYBODY in token.for_users


async def ensure_administrator(store: Store, data_dir: Path, *, token_id: str = ADMIN_USER) -> None:
    """Makes the first administrator, without a password, and his token, at the first start.

    The token's file is readable by its owner alone. One that was removed, or that does not match
    the store, is made again with a new token, and the old one of that id is no longer valid. Each
    server of a store has a `token_id` of its own.
    """
    await store.add_user(
        User(ADMIN_USER, password_hash=None, is_admin=True, create_time=datetime.now(UTC))
    )
    path = data_dir / ADMIN_TOKEN_FILE
    if path.exists() and await store.find_token(hash_secret(path.read_text().strip())):
        return
    token, secret = new_token(ADMIN_USER, is_admin=True, token_id=token_id)
    await asyncio.to_thread(write_private, path, f"{secret}\n".encode())
    await store.put_token(token)
