"""The RPCs of AdministrationService."""

from __future__ import annotations

from entrance.v1 import users_pb2 as pb
from entrance.v1 import users_pb2_grpc
from entrance_server.domain.users import Token, User
from entrance_server.rpc import caller, requests
from entrance_server.rpc.edge import Context
from entrance_server.rpc.responses import timestamp
from entrance_server.service.administration import AdministrationService
from entrance_server.service.views import TokenCommand


class AdministrationServicer(users_pb2_grpc.AdministrationServiceServicer):
    """Serves AdministrationService."""

    def __init__(self, administration: AdministrationService) -> None:
        self._administration = administration

    async def CreateUser(
        self, request: pb.CreateUserRequest, context: Context
    ) -> pb.CreateUserResponse:
        user = await self._administration.create_user(
            caller.principal(), request.name, request.password, is_admin=request.is_admin
        )
        return pb.CreateUserResponse(user=_user(user))

    async def ListUsers(
        self, request: pb.ListUsersRequest, context: Context
    ) -> pb.ListUsersResponse:
        page = await self._administration.list_users(
            caller.principal(), page_size=request.page_size, page_token=request.page_token
        )
        users = [_user(user) for user in page.users]
        return pb.ListUsersResponse(users=users, next_page_token=page.next_page_token)

    async def SetPassword(
        self, request: pb.SetPasswordRequest, context: Context
    ) -> pb.SetPasswordResponse:
        await self._administration.set_password(caller.principal(), request.name, request.password)
        return pb.SetPasswordResponse()

    async def SetUserDisabled(
        self, request: pb.SetUserDisabledRequest, context: Context
    ) -> pb.SetUserDisabledResponse:
        user = await self._administration.set_user_disabled(
            caller.principal(), request.name, request.disabled
        )
        return pb.SetUserDisabledResponse(user=_user(user))

    async def CreateToken(
        self, request: pb.CreateTokenRequest, context: Context
    ) -> pb.CreateTokenResponse:
        token, secret = await self._administration.create_token(
            caller.principal(), _token_command(request)
        )
        return pb.CreateTokenResponse(token=_token(token), secret=secret)

    async def ListTokens(
        self, request: pb.ListTokensRequest, context: Context
    ) -> pb.ListTokensResponse:
        page = await self._administration.list_tokens(
            caller.principal(), page_size=request.page_size, page_token=request.page_token
        )
        tokens = [_token(token) for token in page.tokens]
        return pb.ListTokensResponse(tokens=tokens, next_page_token=page.next_page_token)

    async def RevokeToken(
        self, request: pb.RevokeTokenRequest, context: Context
    ) -> pb.RevokeTokenResponse:
        await self._administration.revoke_token(caller.principal(), request.token_id)
        return pb.RevokeTokenResponse()


def _token_command(request: pb.CreateTokenRequest) -> TokenCommand:
    expires = request.HasField("expire_time")
    return TokenCommand(
        user=request.user,
        is_admin=request.is_admin,
        for_users=list(request.for_users),
        hosts=list(request.hosts),
        expire_time=requests.time_of(request.expire_time, "expireTime") if expires else None,
    )


def _user(user: User) -> pb.User:
    return pb.User(
        name=user.name,
        is_admin=user.is_admin,
        disabled=user.disabled,
        create_time=timestamp(user.create_time),
        last_login_time=timestamp(user.last_login_time),
    )


def _token(token: Token) -> pb.Token:
    return pb.Token(
        token_id=token.token_id,
        user=token.user,
        is_admin=token.is_admin,
        for_users=token.for_users,
        hosts=token.hosts,
        create_time=timestamp(token.create_time),
        expire_time=timestamp(token.expire_time),
    )
