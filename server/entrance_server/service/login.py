"""Logins by password, and the sessions that they open."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from entrance_server.domain import errors
from entrance_server.domain.users import LoginSession, Revocation, is_user_name
from entrance_server.service.attempts import Attempts
from entrance_server.service.auth import SESSION_IDLE, Authenticator
from entrance_server.service.background import Background
from entrance_server.service.login_key import LoginKey
from entrance_server.service.passwords import Passwords
from entrance_server.service.tokens import hash_secret
from entrance_server.service.views import LoginView
from entrance_server.store.port import Store


class LoginService:
    """Lets users in by their passwords, and out again."""

    def __init__(
        self,
        *,
        store: Store,
        authenticator: Authenticator,
        passwords: Passwords,
        key: LoginKey,
        attempts: Attempts,
        background: Background,
        session_idle: timedelta = SESSION_IDLE,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._authenticator = authenticator
        self._passwords = passwords
        self._key = key
        self._attempts = attempts
        self._background = background
        self._session_idle = session_idle
        self._clock = clock

    async def log_in(self, name: str, password: str, *, encrypted: bool, address: str) -> LoginView:
        """Opens a session.

        A name that is no user's, a disabled user and a wrong password are one error, and take the
        same time.

        Raises:
            Unauthenticated: name or password is wrong.
            TooManyAttempts: with this name or from this address there were too many wrong ones.
            Exhausted: too many passwords are being checked at once.
            InvalidRequest: the password was not encrypted as it should be.
        """
        with self._attempts.attempt(name, address):
            if encrypted:
                password = await self._key.decrypt(password)
            user = await self._store.get_user(name) if is_user_name(name) else None
            password_hash = user.password_hash if user and not user.disabled else None
            is_right = await self._passwords.matches(password_hash, password)
            view = await self._open(name, password_hash) if is_right and password_hash else None
            if view is None:
                raise errors.WrongPassword(about=user.name if user else "")
            return view

    async def log_out(self, ticket: str) -> None:
        """Ends the session of a ticket, if there is one."""
        if ticket:
            await self._background.finish(self._end(hash_secret(ticket)))

    async def public_key(self) -> str:
        """The key by which a password may be encrypted: SubjectPublicKeyInfo, DER in base64."""
        return await self._key.public()

    async def _open(self, name: str, password_hash: str) -> LoginView | None:
        """Opens a session, unless the user was changed while his password was checked."""
        now = self._clock()
        ticket = secrets.token_urlsafe(32)
        before = await self._store.log_in(
            LoginSession(hash_secret(ticket), name, create_time=now, last_used_time=now),
            password_hash=password_hash,
            idle_since=now - self._session_idle,
        )
        return None if before is None else LoginView(before, ticket, self._session_idle)

    async def _end(self, ticket_hash: bytes) -> None:
        await self._store.remove_login_session(ticket_hash)
        self._authenticator.end(Revocation(ticket_hash=ticket_hash))
