"""Passwords, kept as Argon2id hashes that carry their own parameters."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, Self, TypeVar

import argon2
from argon2.low_level import ARGON2_VERSION

from entrance_server.domain import errors
from entrance_server.threads import run_in_thread

P = ParamSpec("P")
T = TypeVar("T")

MIN_LENGTH = 8  # characters
MAX_LENGTH = 1_024  # characters

_THREADS = 2  # each uses the memory that the hasher is set to, 64 MiB by default
_MOST_AT_ONCE = 32


class Passwords:
    """Hashes and checks passwords in threads of its own. An async context manager."""

    def __init__(self, hasher: argon2.PasswordHasher | None = None) -> None:
        self._hasher = hasher or argon2.PasswordHasher()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="password")
        self._at_once = 0
        self._nobodys = _nobodys_hash(self._hasher)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._threads.shutdown)

    async def hash(self, password: str) -> str:
        """What is kept of a password.

        Raises:
            Exhausted: too many passwords are hashed or checked at once.
        """
        return await self._run(self._hasher.hash, password)

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether a password is the one of a hash; none matches None, which takes as long to see.

        Raises:
            Exhausted: too many passwords are hashed or checked at once.
        """
        is_right = await self._run(self._matches, password_hash or self._nobodys, password)
        return is_right and password_hash is not None

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._at_once >= _MOST_AT_ONCE:
            raise errors.Exhausted(
                f"{_MOST_AT_ONCE} passwords are being checked at once, the limit; try again.",
                reason="TOO_MANY_PASSWORDS",
            )
        self._at_once += 1
        try:
            return await run_in_thread(self._threads, work, *args, **kwargs)
        finally:
            self._at_once -= 1

    def _matches(self, password_hash: str, password: str) -> bool:
        """Blocks."""
        try:
            return self._hasher.verify(password_hash, password)
        except argon2.exceptions.VerifyMismatchError:
            return False


def _nobodys_hash(hasher: argon2.PasswordHasher) -> str:
    """What takes as long to check as any other hash, and is none: it is random, salt and all."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=")
        for length in (hasher.salt_len, hasher.hash_len)
    )
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${cost}${salt}${digest}"
