"""The RPCs of UserService."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from entrance.v1 import users_pb2 as pb
from entrance.v1 import users_pb2_grpc
from entrance_server.rpc import caller
from entrance_server.rpc.edge import Context
from entrance_server.service.login import LoginService
from entrance_server.service.views import LoginView

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class UserServicer(users_pb2_grpc.UserServiceServicer):
    """Serves UserService."""

    def __init__(self, login: LoginService) -> None:
        self._login = login

    async def Login(self, request: pb.LoginRequest, context: Context) -> pb.LoginResponse:
        view = await self._login.log_in(
            request.user_name,
            request.password,
            encrypted=request.passwd_encrypt,
            address=caller.credentials().address,
        )
        return _login_response(view)

    async def Logout(self, request: pb.LogoutRequest, context: Context) -> pb.LogoutResponse:
        await self._login.log_out(caller.credentials().session_ticket)
        return pb.LogoutResponse()

    async def GetUserInfo(
        self, request: pb.GetUserInfoRequest, context: Context
    ) -> pb.GetUserInfoResponse:
        principal = caller.principal()
        return pb.GetUserInfoResponse(user_name=principal.user, is_admin=principal.is_admin)

    async def Heartbeat(
        self, request: pb.HeartbeatRequest, context: Context
    ) -> pb.HeartbeatResponse:
        return pb.HeartbeatResponse(user_name=caller.user())

    async def GetPublicKey(
        self, request: pb.GetPublicKeyRequest, context: Context
    ) -> pb.GetPublicKeyResponse:
        key = await self._login.public_key()
        return pb.GetPublicKeyResponse(enable_login_encrypt=True, public_key=key)


def _login_response(view: LoginView) -> pb.LoginResponse:
    before = view.before
    last = before.last_login_time
    return pb.LoginResponse(
        user_name=before.name,
        is_admin=before.is_admin,
        login_num=before.login_count + 1,
        last_login_time=0 if last is None else (last - _EPOCH) // _MILLISECOND,
        is_first_login=before.login_count == 0,
        session_time_out=view.session_idle // _MILLISECOND,
        session_ticket=view.ticket,
    )
