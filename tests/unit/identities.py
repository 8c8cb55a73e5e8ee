"""What tests of users, logins and tokens share: the services over a store of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import argon2

from entrance_server.domain.job import Principal
from entrance_server.domain.users import Token
from entrance_server.service.administration import AdministrationService
from entrance_server.service.attempts import AttemptLimits, Attempts
from entrance_server.service.auth import Authenticator, Credentials, Grant
from entrance_server.service.background import Background
from entrance_server.service.login import LoginService
from entrance_server.service.login_key import LoginKey
from entrance_server.service.passwords import Passwords
from entrance_server.service.tokens import new_token
from entrance_server.service.views import LoginView
from entrance_server.store import SqlStore
from tests.unit.specs import sqlite_url

PASSWORD = "correct horse"
ADDRESS = "192.0.2.1"
ROOT = Principal("root", is_admin=True)
ALICE = Principal("alice", is_admin=False)
IDLE = timedelta(hours=6)


def cheap_passwords() -> Passwords:
    """Hashes that cost nearly nothing."""
    return Passwords(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@dataclass
class Clock:
    """A clock that a test moves."""

    now: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    def advance(self, step: timedelta) -> None:
        self.now += step


class CountingStore(SqlStore):
    """Counts what it is asked."""

    reads = 0
    writes = 0

    async def _read_all(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        self.reads += 1
        return await super()._read_all(*args, **kwargs)

    async def _write(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        self.writes += 1
        return await super()._write(*args, **kwargs)


@dataclass
class Identities:
    """The services, in which `alice` is a user and `root` an administrator, and a clock."""

    store: CountingStore
    authenticator: Authenticator
    login: LoginService
    administration: AdministrationService
    clock: Clock = field(default_factory=Clock)

    async def log_in(
        self, name: str = "alice", password: str = PASSWORD, *, encrypted: bool = False
    ) -> LoginView:
        return await self.login.log_in(name, password, encrypted=encrypted, address=ADDRESS)

    async def grant(self, **credentials: str) -> Grant:
        return await self.authenticator.authenticate(
            Credentials(**{"address": ADDRESS, **credentials})
        )

    async def principal(self, **credentials: str) -> Principal:
        return (await self.grant(**credentials)).principal

    async def token(self, user: str, **options: object) -> tuple[Token, str]:
        """A token that is in the store, and its secret."""
        given: dict[str, object] = {"is_admin": False, **options}
        token, secret = new_token(user, **given)  # type: ignore[arg-type]
        await self.store.put_token(token)
        return token, secret


@asynccontextmanager
async def identities(
    directory: Path, *, limits: AttemptLimits | None = None, clock: Clock | None = None
) -> AsyncIterator[Identities]:
    """The services over a database in a directory, new or left by others."""
    clock = clock or Clock()
    url = sqlite_url(directory)
    async with (
        CountingStore(url, clock=clock) as store,
        cheap_passwords() as passwords,
        Background() as background,
    ):
        authenticator = Authenticator(store, session_idle=IDLE, clock=clock)
        login = LoginService(
            store=store,
            authenticator=authenticator,
            passwords=passwords,
            key=LoginKey(directory),
            attempts=Attempts(limits or AttemptLimits(), clock=clock.seconds),
            background=background,
            session_idle=IDLE,
            clock=clock,
        )
        administration = AdministrationService(
            store=store,
            authenticator=authenticator,
            passwords=passwords,
            background=background,
            clock=clock,
        )
        for user in (ALICE, ROOT):
            if await store.get_user(user.user) is None:
                await administration.create_user(ROOT, user.user, PASSWORD, is_admin=user.is_admin)
        yield Identities(store, authenticator, login, administration, clock)
