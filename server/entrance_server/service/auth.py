"""Who makes a call, and the first identity."""

from __future__ import annotations

import hashlib
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from entrance_server.domain import errors
from entrance_server.domain.job import Principal
from entrance_server.domain.users import Token
from entrance_server.store.port import Store

ADMIN_USER = "admin"
ADMIN_TOKEN_FILE = "admin.token"
_CACHED_PRINCIPALS = 4_096
_SCHEME = "bearer "


def hash_secret(secret: str) -> bytes:
    """What is kept of a secret. A plain digest does, since secrets are 256 random bits."""
    return hashlib.sha256(secret.encode()).digest()


def new_token(user: str, *, is_admin: bool, token_id: str | None = None) -> tuple[Token, str]:
    """A new token and its secret, which is not kept anywhere."""
    secret = f"ent_{secrets.token_urlsafe(32)}"
    token = Token(
        token_id=token_id or secrets.token_hex(8),
        user=user,
        is_admin=is_admin,
        secret_hash=hash_secret(secret),
        create_time=datetime.now(UTC),
    )
    return token, secret


async def ensure_admin_token(store: Store, data_dir: Path) -> None:
    """Makes the administrator's token at the first start, readable by its owner alone.

    A file that was removed, or that does not match the store, is made again with a new token, and
    the old one is no longer valid.
    """
    path = data_dir / ADMIN_TOKEN_FILE
    if path.exists() and await store.find_token(hash_secret(path.read_text().strip())):
        return
    token, secret = new_token(ADMIN_USER, is_admin=True, token_id=ADMIN_USER)
    _write_private(path, secret + "\n")
    await store.put_token(token)


class Authenticator:
    """Turns the credentials of a call into a principal."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Principal] = {}

    async def authenticate(self, authorization: str | None) -> Principal:
        """The caller behind an `authorization` value.

        Raises:
            Unauthenticated: there is none, or it is not valid.
        """
        if not authorization:
            raise errors.Unauthenticated(
                "The call carries no credentials; send 'authorization: Bearer <token>'.",
                reason="NO_CREDENTIALS",
            )
        principal = self._known.get(authorization)
        return principal or await self._check(authorization)

    async def _check(self, authorization: str) -> Principal:
        scheme, secret = authorization[: len(_SCHEME)], authorization[len(_SCHEME) :].strip()
        token = await self._store.find_token(hash_secret(secret)) if secret else None
        if scheme.lower() != _SCHEME or token is None:
            raise errors.Unauthenticated(
                "The token is not valid; send 'authorization: Bearer <token>' with one that this "
                "installation made.",
                reason="WRONG_CREDENTIALS",
            )
        principal = Principal(token.user, token.is_admin)
        while len(self._known) >= _CACHED_PRINCIPALS:
            self._known.pop(next(iter(self._known)))
        self._known[authorization] = principal
        return principal


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
