"""Users and tokens, as administrators manage them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from entrance_server.domain import errors
from entrance_server.domain.addresses import network_of
from entrance_server.domain.job import Principal
from entrance_server.domain.users import Revocation, Token, User, is_user_name
from entrance_server.service import page_tokens
from entrance_server.service.auth import Authenticator
from entrance_server.service.background import Background
from entrance_server.service.passwords import MAX_LENGTH, MIN_LENGTH, Passwords
from entrance_server.service.tokens import ANYBODY, new_token
from entrance_server.service.views import TokenCommand, TokenPage, UserPage
from entrance_server.store.port import Store

Result = TypeVar("Result")

DEFAULT_PAGE = 100
MAX_PAGE = 1_000
MAX_ENTRIES = 1_000  # of a token's users, and of its hosts

_USERS = "users"  # the queries that page tokens belong to
_TOKENS = "tokens"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class AdministrationService:
    """Changes who may call. A change acts at once, on calls that go on too."""

    def __init__(
        self,
        *,
        store: Store,
        authenticator: Authenticator,
        passwords: Passwords,
        background: Background,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._authenticator = authenticator
        self._passwords = passwords
        self._background = background
        self._clock = clock

    async def create_user(
        self, principal: Principal, name: str, password: str, *, is_admin: bool
    ) -> User:
        """Adds a user.

        Raises:
            PermissionDenied: the caller is no administrator.
            InvalidRequest: the name or the password is none that is taken.
            AlreadyExists: there is a user of that name.
        """
        _require_administrator(principal)
        _check_name("name", name)
        _check_password(password)
        user = User(name, await self._passwords.hash(password), is_admin, self._clock())
        if not await self._store.add_user(user):
            raise errors.AlreadyExists(
                f"There is a user '{name}' already; set another password for him, or choose "
                "another name.",
                reason="USER_EXISTS",
            )
        return user

    async def list_users(
        self, principal: Principal, *, page_size: int, page_token: str
    ) -> UserPage:
        """A page of users, by name.

        Raises:
            PermissionDenied: the caller is no administrator.
            InvalidRequest: the page size is negative, or the token is of another query.
        """
        _require_administrator(principal)
        limit = page_tokens.size(page_size, default=DEFAULT_PAGE, most=MAX_PAGE)
        after = _name_after(page_token)
        users = await self._store.list_users(limit=limit + 1, after_name=after)
        page = users[:limit]
        more = len(users) > limit
        return UserPage(page, page_tokens.encode_text(page[-1].name, _USERS) if more else "")

    async def set_password(self, principal: Principal, name: str, password: str) -> None:
        """Sets a user's password and ends his sessions.

        A user may do so for himself, though not through another's token; and an administrator not
        with a token that lacks his rights, since the password would give them back.

        Raises:
            PermissionDenied: the caller may not.
            NotFound: there is no such user.
            InvalidRequest: the password is none that is taken.
        """
        if not principal.is_admin:
            await self._require_own(principal, name)
        _check_name("name", name)
        _check_password(password)
        password_hash = await self._passwords.hash(password)
        await self._finish(
            self._store.set_password(name, password_hash),
            Revocation(user=name, logins_only=True),
        )

    async def set_user_disabled(self, principal: Principal, name: str, disabled: bool) -> User:
        """Disables a user, whose sessions end and whose tokens are refused, or enables him.

        Raises:
            PermissionDenied: the caller is no administrator.
            NotFound: there is no such user.
            WrongState: it is the caller himself, who could not undo it.
        """
        _require_administrator(principal)
        _check_name("name", name)
        if disabled and name == principal.user:
            raise errors.WrongState(
                "Nobody disables himself; another administrator can.", reason="OWN_USER"
            )
        change = self._store.set_user_disabled(name, disabled)
        return await self._finish(change, Revocation(user=name) if disabled else None)

    async def create_token(self, principal: Principal, command: TokenCommand) -> tuple[Token, str]:
        """Makes a token; its secret is told this once.

        Raises:
            PermissionDenied: the caller is no administrator.
            InvalidRequest: something in it is wrong.
        """
        _require_administrator(principal)
        _check_token(command, self._clock())
        if command.is_admin:
            await self._require_admin_user(command.user)
        token, secret = new_token(
            command.user,
            is_admin=command.is_admin,
            for_users=command.for_users,
            hosts=command.hosts,
            expire_time=command.expire_time,
        )
        await self._store.put_token(token)
        return token, secret

    async def list_tokens(
        self, principal: Principal, *, page_size: int, page_token: str
    ) -> TokenPage:
        """A page of tokens, by time of creation.

        Raises:
            PermissionDenied: the caller is no administrator.
            InvalidRequest: the page size is negative, or the token is of another query.
        """
        _require_administrator(principal)
        limit = page_tokens.size(page_size, default=DEFAULT_PAGE, most=MAX_PAGE)
        after = _token_after(page_token)
        tokens = await self._store.list_tokens(limit=limit + 1, after=after)
        page = tokens[:limit]
        more = len(tokens) > limit
        return TokenPage(page, _page_token_after(page[-1]) if more else "")

    async def revoke_token(self, principal: Principal, token_id: str) -> None:
        """Ends a token.

        Raises:
            PermissionDenied: the caller is no administrator.
            NotFound: there is no token with that id.
        """
        _require_administrator(principal)
        removed = token_id.isprintable() and await self._finish(
            self._store.remove_token(token_id), Revocation(token_id=token_id)
        )
        if not removed:
            raise errors.NotFound(
                f"There is no token '{token_id[:80]}'; the list of tokens has their ids.",
                reason="NO_SUCH_TOKEN",
            )

    async def _require_own(self, principal: Principal, name: str) -> None:
        if principal.user != name or principal.delegated:
            raise errors.PermissionDenied(
                "Only an administrator, or the user himself, may set a user's password."
            )
        user = await self._store.get_user(name)
        if user is not None and user.is_admin:
            raise errors.PermissionDenied(
                "An administrator's password is set with an administrator's rights, which this "
                "token lacks; log in, or send another one."
            )

    async def _require_admin_user(self, name: str) -> None:
        user = await self._store.get_user(name)
        if user is None or not user.is_admin:
            raise _wrong(
                "isAdmin",
                f"'{name}' is no administrator, so that a token of his can't have an "
                "administrator's rights; make him one, or the token without them.",
            )

    async def _finish(
        self, change: Coroutine[Any, Any, Result], revocation: Revocation | None
    ) -> Result:
        """Makes a change and lets it act, also when the caller does not wait for it."""
        return await self._background.finish(self._change(change, revocation))

    async def _change(
        self, change: Coroutine[Any, Any, Result], revocation: Revocation | None
    ) -> Result:
        result = await change
        if revocation is not None:
            self._authenticator.end(revocation)
        return result


def _require_administrator(principal: Principal) -> None:
    if not principal.is_admin:
        raise errors.PermissionDenied("Users and tokens are for administrators alone.")


def _check_name(field: str, name: str) -> None:
    if not is_user_name(name):
        raise _wrong(
            field,
            f"'{name[:80]}' is no user name; it takes letters, digits and _ . @ - , 64 at most.",
        )


def _check_password(password: str) -> None:
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise _wrong(
            "password",
            f"The password has {len(password)} characters; send {MIN_LENGTH} to {MAX_LENGTH:,}.",
        )


def _check_token(command: TokenCommand, now: datetime) -> None:
    _check_name("user", command.user)
    for field, entries in (("forUsers", command.for_users), ("hosts", command.hosts)):
        if len(entries) > MAX_ENTRIES:
            raise _wrong(field, f"There are {len(entries)} {field}; send at most {MAX_ENTRIES:,}.")
    for user in command.for_users:
        if user != ANYBODY:
            _check_name("forUsers", user)
    for host in command.hosts:
        _check_host(host)
    if command.expire_time is not None and command.expire_time <= now:
        raise _wrong("expireTime", f"{command.expire_time:%Y-%m-%dT%H:%M:%SZ} is in the past.")


def _check_host(host: str) -> None:
    try:
        network_of(host)
    except ValueError as error:
        raise _wrong(
            "hosts", f"Send addresses such as 10.0.0.7, or networks such as 10.0.0.0/8: {error}."
        ) from None


def _wrong(field: str, message: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(message, violations=[errors.FieldViolation(field, message)])


def _name_after(page_token: str) -> str:
    """The user after whom a page starts."""
    name = page_tokens.decode_text(page_token, _USERS)
    if name and not is_user_name(name):
        raise page_tokens.refused()
    return name


def _page_token_after(token: Token) -> str:
    micros = (token.create_time - _EPOCH) // _MICROSECOND
    return page_tokens.encode_text(f"{micros}:{token.token_id}", _TOKENS)


def _token_after(page_token: str) -> tuple[datetime, str] | None:
    """The place among tokens after which a page starts."""
    text = page_tokens.decode_text(page_token, _TOKENS)
    if not text:
        return None
    micros, _, token_id = text.partition(":")
    try:
        return _EPOCH + int(micros) * _MICROSECOND, token_id
    except (ValueError, OverflowError):
        raise page_tokens.refused() from None
