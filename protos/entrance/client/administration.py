"""What an administrator does with users and tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict, Unpack

from entrance.client import models, wire
from entrance.client.calls import Call, Page
from entrance.v1 import users_pb2 as pb

if TYPE_CHECKING:
    from entrance.client.aio import AsyncClient
    from entrance.client.sync import Client

_PER_PAGE = 1_000


class TokenOptions(TypedDict, total=False):
    """What a token allows.

    Attributes:
        is_admin: Whether it carries an administrator's rights; only for a user who has them. Unset:
            it does not.
        for_users: For whom a caller may act by `token-user`; `*` means anybody. Unset: for nobody
            but the token's own user.
        hosts: From which addresses or networks (CIDR) it is accepted. Unset: from any.
        expire_time: When it stops being accepted; without a zone it is local time. Unset: never.
    """

    is_admin: bool
    for_users: Sequence[str]
    hosts: Sequence[str]
    expire_time: datetime | None


class Administration:
    """Users and tokens; for administrators, but for one's own password.

    Beside what `Client` says, each method may raise `PermissionDenied`.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def create_user(self, name: str, password: str, *, is_admin: bool = False) -> models.User:
        """Adds a user, who can log in from then on.

        Raises:
            AlreadyExists: the name is taken.
            InvalidArgument: the name or the password is none that is accepted.
        """
        return self._client._call(_create_user(name, password, is_admin))

    def users(self) -> Iterator[models.User]:
        """All users by name; pages are asked for as they are needed."""
        return self._client._pages(_users)

    def set_password(self, name: str, password: str) -> None:
        """Sets a user's password and ends his login sessions; a user may do so for himself.

        Raises:
            NotFound: there is no such user.
            InvalidArgument: the password is none that is accepted.
        """
        self._client._call(_set_password(name, password))

    def disable_user(self, name: str) -> models.User:
        """Refuses a user at once, whatever he holds; his jobs go on.

        Raises:
            NotFound: there is no such user.
            WrongState: it is the caller himself.
        """
        return self._client._call(_set_disabled(name, True))

    def enable_user(self, name: str) -> models.User:
        """Lets a disabled user in again.

        Raises:
            NotFound: there is no such user.
        """
        return self._client._call(_set_disabled(name, False))

    def create_token(self, user: str, **options: Unpack[TokenOptions]) -> models.NewToken:
        """Makes a token; its secret is told this once.

        Args:
            user: Whose token it is.
            options: See `TokenOptions`.

        Raises:
            InvalidArgument: something in it is wrong; see its violations.
        """
        return self._client._call(_create_token(user, options))

    def tokens(self) -> Iterator[models.Token]:
        """All tokens by time of creation; pages are asked for as they are needed."""
        return self._client._pages(_tokens)

    def revoke_token(self, token_id: str) -> None:
        """Ends a token at once.

        Raises:
            NotFound: there is none with that id.
        """
        self._client._call(_revoke_token(token_id))


class AsyncAdministration:
    """As `Administration`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def create_user(self, name: str, password: str, *, is_admin: bool = False) -> models.User:
        """As `Administration.create_user`."""
        return await self._client._call(_create_user(name, password, is_admin))

    def users(self) -> AsyncIterator[models.User]:
        """As `Administration.users`."""
        return self._client._pages(_users)

    async def set_password(self, name: str, password: str) -> None:
        """As `Administration.set_password`."""
        await self._client._call(_set_password(name, password))

    async def disable_user(self, name: str) -> models.User:
        """As `Administration.disable_user`."""
        return await self._client._call(_set_disabled(name, True))

    async def enable_user(self, name: str) -> models.User:
        """As `Administration.enable_user`."""
        return await self._client._call(_set_disabled(name, False))

    async def create_token(self, user: str, **options: Unpack[TokenOptions]) -> models.NewToken:
        """As `Administration.create_token`."""
        return await self._client._call(_create_token(user, options))

    def tokens(self) -> AsyncIterator[models.Token]:
        """As `Administration.tokens`."""
        return self._client._pages(_tokens)

    async def revoke_token(self, token_id: str) -> None:
        """As `Administration.revoke_token`."""
        await self._client._call(_revoke_token(token_id))


def _create_user(name: str, password: str, is_admin: bool) -> Call[models.User]:
    request = pb.CreateUserRequest(name=name, password=password, is_admin=is_admin)
    # not repeatable: a second try would find the name taken by the first
    return Call("CreateUser", request, lambda answer: wire.user(answer.user), repeatable=False)


def _users(token: str) -> Call[Page[models.User]]:
    request = pb.ListUsersRequest(page_size=_PER_PAGE, page_token=token)
    return Call("ListUsers", request, _users_of)


def _users_of(answer: pb.ListUsersResponse) -> Page[models.User]:
    return Page([wire.user(each) for each in answer.users], answer.next_page_token)


def _set_password(name: str, password: str) -> Call[None]:
    request = pb.SetPasswordRequest(name=name, password=password)
    return Call("SetPassword", request, lambda _: None)


def _set_disabled(name: str, disabled: bool) -> Call[models.User]:
    request = pb.SetUserDisabledRequest(name=name, disabled=disabled)
    return Call("SetUserDisabled", request, lambda answer: wire.user(answer.user))


def _create_token(user: str, options: TokenOptions) -> Call[models.NewToken]:
    request = pb.CreateTokenRequest(
        user=user,
        is_admin=options.get("is_admin", False),
        for_users=options.get("for_users", ()),
        hosts=options.get("hosts", ()),
        expire_time=wire.timestamp(options.get("expire_time")),
    )
    # not repeatable: a second try would make a second token
    return Call("CreateToken", request, wire.new_token, repeatable=False)


def _tokens(token: str) -> Call[Page[models.Token]]:
    request = pb.ListTokensRequest(page_size=_PER_PAGE, page_token=token)
    return Call("ListTokens", request, _tokens_of)


def _tokens_of(answer: pb.ListTokensResponse) -> Page[models.Token]:
    return Page([wire.token(each) for each in answer.tokens], answer.next_page_token)


def _revoke_token(token_id: str) -> Call[None]:
    request = pb.RevokeTokenRequest(token_id=token_id)
    # not repeatable: a second try would find it gone
    return Call("RevokeToken", request, lambda _: None, repeatable=False)
