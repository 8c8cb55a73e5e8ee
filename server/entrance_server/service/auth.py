"""Who makes a call: from its credentials to a principal, and until when that holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from entrance_server.domain import errors
from entrance_server.domain.addresses import Network, is_within, network_of
from entrance_server.domain.job import Principal
from entrance_server.domain.users import Revocation, User, is_user_name
from entrance_server.service.tokens import hash_secret, may_act_for
from entrance_server.store.port import Store

SESSION_IDLE = timedelta(hours=6)

_SCHEME = "bearer "
_CACHED = 4_096  # credentials that are known without a look into the store
_FRESH = timedelta(seconds=5)  # after which what another server of this store did is seen
_NOTED = timedelta(minutes=1)  # between notes of a session's use in the store

_Key: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Everything by which a caller identifies himself; "" is what he did not send.

    `via` is the server of this installation that handed the call on, if one did.
    """

    authorization: str = ""
    token_code: str = ""
    token_user: str = ""
    session_ticket: str = ""
    address: str = ""
    via: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """Whom credentials make a caller, and on what that depends.

    It ends when one of `users` is disabled, when its token is revoked or its session ended.
    """

    principal: Principal
    users: frozenset[str]
    token_id: str = ""
    token_hash: bytes = b""
    ticket_hash: bytes = b""
    expire_time: datetime | None = None

    def ends_by(self, revocation: Revocation) -> bool:
        """Whether a revocation ends it."""
        if revocation.user:
            is_his = revocation.user in self.users
            return is_his and bool(self.ticket_hash or not revocation.logins_only)
        if revocation.token_id:
            return self.token_id == revocation.token_id
        return self.ticket_hash == revocation.ticket_hash


@dataclass(slots=True)
class _Known:
    """A grant as it was read from the store."""

    grant: Grant
    read_time: datetime
    hosts: Sequence[Network] = ()
    last_used: datetime | None = None  # of a session
    noted: datetime | None = None  # its last use as the store has it


class Authenticator:
    """Turns the credentials of a call into a grant, without the store for those that it knows.

    Of several credentials the first one alone decides: a bearer's, then token-code with token-user,
    then a session's ticket.
    """

    def __init__(
        self,
        store: Store,
        *,
        session_idle: timedelta = SESSION_IDLE,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._session_idle = session_idle
        self._note_interval = min(_NOTED, session_idle / 10)
        self._clock = clock
        self._known: dict[_Key, _Known] = {}
        self._open: dict[Grant, set[asyncio.Timeout]] = {}
        self._endings = 0

    async def authenticate(self, credentials: Credentials) -> Grant:
        """What the credentials of a call grant.

        Raises:
            Unauthenticated: there are none, or they are not valid.
        """
        key = _key(credentials)
        now = self._clock()
        known = self._known.get(key)
        if known is None or now >= known.read_time + _FRESH:
            if known is not None:
                known.read_time = now  # other calls go on with it while it is read anew
            known = await self._look_up(key, now)
        grant = known.grant
        if grant.expire_time is not None and now >= grant.expire_time:
            raise _refused()
        if known.hosts and not is_within(credentials.address, known.hosts):
            raise _refused()
        if known.last_used is not None:
            await self._use(known, known.last_used, now)
        return grant

    @asynccontextmanager
    async def holding(self, grant: Grant) -> AsyncIterator[None]:
        """Cuts the block off when the grant ends, for a call that may go on after that.

        Raises:
            Unauthenticated: it ended.
        """
        try:
            async with asyncio.timeout(self._seconds_left(grant)) as limit:
                limits = self._open.setdefault(grant, set())
                limits.add(limit)
                try:
                    yield
                finally:
                    limits.discard(limit)
                    if not limits:
                        self._open.pop(grant, None)
        except TimeoutError:
            if not limit.expired():
                raise
            raise _refused() from None

    def end(self, revocation: Revocation) -> None:
        """Ends grants after a change that is durable already, and the calls that go on by them."""
        self._end(lambda grant: grant.ends_by(revocation))

    async def recheck(self) -> None:
        """Ends the calls that go on by grants which ended elsewhere, without a notice of that.

        Raises:
            StoreUnavailable: it was cut short.
        """
        for grant in list(self._open):
            if not await self._holds(grant):
                self._end(grant.__eq__)

    async def _holds(self, grant: Grant) -> bool:
        if grant.token_hash and await self._store.find_token(grant.token_hash) is None:
            return False
        if grant.ticket_hash and await self._store.find_login_session(grant.ticket_hash) is None:
            return False
        users = [await self._store.get_user(name) for name in grant.users]
        return not any(user.disabled for user in users if user is not None)

    def _end(self, ends: Callable[[Grant], bool]) -> None:
        self._endings += 1
        self._known = {key: one for key, one in self._known.items() if not ends(one.grant)}
        now = asyncio.get_running_loop().time()
        for grant in filter(ends, self._open):
            for limit in self._open[grant]:
                if not limit.expired():
                    limit.reschedule(now)

    async def _look_up(self, key: _Key, now: datetime) -> _Known:
        """Reads a grant; again, when one ended meanwhile, since it may have been this one."""
        while True:
            endings = self._endings
            try:
                known = await self._read(key, now)
            except Exception:
                self._known.pop(key, None)
                raise
            if endings == self._endings:
                break
        while len(self._known) >= _CACHED:
            self._known.pop(next(iter(self._known)))
        self._known[key] = known
        return known

    async def _read(self, key: _Key, now: datetime) -> _Known:
        kind, secret, user = key
        if kind == "session":
            return await self._session(hash_secret(secret), now)
        return await self._token(secret, user, now)

    async def _token(self, secret: str, user: str, now: datetime) -> _Known:
        """The grant of a token; no user means its own."""
        token = await self._store.find_token(hash_secret(secret))
        if token is None:
            raise _refused()
        user = user or token.user
        owner = await self._enabled(token.user)
        if user != token.user:
            if not (may_act_for(token, user) and is_user_name(user)):
                raise _refused()
            await self._enabled(user)
        is_own = user == token.user
        is_admin = is_own and token.is_admin and owner is not None and owner.is_admin
        grant = Grant(
            Principal(user, is_admin, delegated=not is_own),
            users=frozenset({user, token.user}),
            token_id=token.token_id,
            token_hash=hash_secret(secret),
            expire_time=token.expire_time,
        )
        return _Known(grant, now, hosts=[network_of(host) for host in token.hosts])

    async def _session(self, ticket_hash: bytes, now: datetime) -> _Known:
        session = await self._store.find_login_session(ticket_hash)
        user = None if session is None else await self._enabled(session.user)
        if session is None or user is None:
            raise _refused()
        grant = Grant(
            Principal(user.name, user.is_admin),
            users=frozenset({user.name}),
            ticket_hash=ticket_hash,
        )
        used = session.last_used_time
        return _Known(grant, now, last_used=used, noted=used)

    async def _enabled(self, name: str) -> User | None:
        """The user of a name, or None for a name that is no user's and may be used all the same.

        Raises:
            Unauthenticated: he is disabled.
        """
        user = await self._store.get_user(name)
        if user is not None and user.disabled:
            raise _refused()
        return user

    async def _use(self, known: _Known, last_used: datetime, now: datetime) -> None:
        """Keeps a session, unless it was idle too long."""
        if now >= last_used + self._session_idle:
            raise _refused()
        known.last_used = now
        if known.noted is None or now >= known.noted + self._note_interval:
            known.noted = now
            await self._store.touch_login_session(known.grant.ticket_hash, now)

    def _seconds_left(self, grant: Grant) -> float | None:
        if grant.expire_time is None:
            return None
        return (grant.expire_time - self._clock()).total_seconds()


def _key(credentials: Credentials) -> _Key:
    """Which credential decides: its kind, its secret, and as whom the caller wants to act."""
    authorization = credentials.authorization
    if authorization:
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise _refused()
        return "bearer", authorization[len(_SCHEME) :].strip(), ""
    if credentials.token_code or credentials.token_user:
        if not (credentials.token_code and credentials.token_user):
            raise errors.Unauthenticated(
                "token-code and token-user belong together; send both.", reason="HALF_CREDENTIALS"
            )
        return "token", credentials.token_code, credentials.token_user
    if credentials.session_ticket:
        return "session", credentials.session_ticket, ""
    raise errors.Unauthenticated(
        "The call carries no credentials; log in, or send 'authorization: Bearer <token>', or "
        "token-code with token-user.",
        reason="NO_CREDENTIALS",
    )


def _refused() -> errors.Unauthenticated:
    """One wording for all that is wrong, so that it tells nothing to whoever tries."""
    return errors.Unauthenticated(
        "The credentials are not valid, or no longer; log in again, or send a token that this "
        "installation made for this user and address.",
        reason="WRONG_CREDENTIALS",
    )
