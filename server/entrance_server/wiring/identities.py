"""Who may call: tokens, passwords, sessions, and what administers them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from entrance_server.rpc.administration import AdministrationServicer
from entrance_server.rpc.server import Service, administration, users
from entrance_server.rpc.users import UserServicer
from entrance_server.service.administration import AdministrationService
from entrance_server.service.attempts import AttemptLimits, Attempts
from entrance_server.service.auth import Authenticator
from entrance_server.service.background import Background
from entrance_server.service.grant_watch import GrantWatch
from entrance_server.service.login import LoginService
from entrance_server.service.login_key import LoginKey
from entrance_server.service.passwords import Passwords
from entrance_server.service.tokens import ADMIN_USER, ensure_administrator
from entrance_server.store.listener import MISSED
from entrance_server.store.revocations import revoked_in
from entrance_server.wiring.base import Base


async def wire_identities(base: Base) -> tuple[Authenticator, Sequence[Service]]:
    """What knows callers, and the services that are about them."""
    settings, store, stack = base.settings, base.store, base.stack
    # each server has a file with a token of its own
    token_id = f"{ADMIN_USER}@{base.instance}" if settings.is_shared else ADMIN_USER
    await ensure_administrator(store, settings.data_dir, token_id=token_id)
    session_idle = timedelta(seconds=settings.login_idle_timeout)
    authenticator = Authenticator(store, session_idle=session_idle, clock=base.clock)
    if settings.is_shared:
        watch = await stack.enter_async_context(GrantWatch(authenticator))
        store.hear(partial(_end_grants, authenticator, watch))
    passwords = await stack.enter_async_context(Passwords())
    background = await stack.enter_async_context(Background())
    limits = AttemptLimits(
        per_name=settings.login_attempts,
        per_address=settings.login_attempts_per_address,
        window=settings.login_window,
    )
    login = LoginService(
        store=store,
        authenticator=authenticator,
        passwords=passwords,
        key=LoginKey(settings.files_dir),
        attempts=Attempts(limits),
        background=background,
        session_idle=session_idle,
        clock=base.clock,
    )
    management = AdministrationService(
        store=store,
        authenticator=authenticator,
        passwords=passwords,
        background=background,
        clock=base.clock,
    )
    return authenticator, [
        users(UserServicer(login)),
        administration(AdministrationServicer(management)),
    ]


def _end_grants(authenticator: Authenticator, watch: GrantWatch, notice: str) -> None:
    """Takes a notice of who is not let in any more, or of anything at all."""
    if notice == MISSED:
        watch.look()
    elif (revocation := revoked_in(notice)) is not None:
        authenticator.end(revocation)
