"""What administrators do with users and tokens, and what others may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from entrance_server.domain.errors import (
    AlreadyExists,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    WrongState,
)
from entrance_server.domain.job import Principal
from entrance_server.domain.users import Token
from entrance_server.service.administration import AdministrationService
from entrance_server.service.tokens import ADMIN_USER, ensure_administrator
from entrance_server.service.views import TokenCommand
from tests.unit.identities import ALICE, PASSWORD, ROOT, Identities, identities

NEW = "a new password"
Operation = Callable[[AdministrationService, Principal], Awaitable[Any]]

ADMINISTRATORS_ALONE: dict[str, Operation] = {
    "create user": lambda it, who: it.create_user(who, "carol", PASSWORD, is_admin=False),
    "list users": lambda it, who: it.list_users(who, page_size=0, page_token=""),
    "set another's password": lambda it, who: it.set_password(who, "root", NEW),
    "set nobody's password": lambda it, who: it.set_password(who, "nobody", NEW),
    "disable": lambda it, who: it.set_user_disabled(who, "root", True),
    "disable oneself": lambda it, who: it.set_user_disabled(who, "alice", True),
    "create token": lambda it, who: it.create_token(who, TokenCommand("alice")),
    "list tokens": lambda it, who: it.list_tokens(who, page_size=0, page_token=""),
    "revoke token": lambda it, who: it.revoke_token(who, "any"),
}


@pytest.fixture
async def known(tmp_path: Path) -> AsyncIterator[Identities]:
    async with identities(tmp_path) as made:
        yield made


@pytest.fixture
def administration(known: Identities) -> AdministrationService:
    return known.administration


@pytest.mark.parametrize("operation", ADMINISTRATORS_ALONE)
async def test_it_is_for_administrators_alone(
    administration: AdministrationService, operation: str
) -> None:
    with pytest.raises(PermissionDenied):
        await ADMINISTRATORS_ALONE[operation](administration, ALICE)


async def test_an_added_user_can_log_in(known: Identities) -> None:
    added = await known.administration.create_user(ROOT, "carol", "pässwörd", is_admin=True)
    assert await known.store.get_user("carol") == added
    ticket = (await known.log_in("carol", "pässwörd")).ticket
    assert (await known.grant(session_ticket=ticket)).principal == Principal("carol", True)


async def test_a_name_that_is_taken_is_not_added(administration: AdministrationService) -> None:
    with pytest.raises(AlreadyExists, match="'alice'"):
        await administration.create_user(ROOT, "alice", PASSWORD, is_admin=True)


@pytest.mark.parametrize("name", ["", "a b", "-a", "ä", "a/b", "*", "x" * 65, "a\0"])
async def test_a_name_that_is_none_is_refused(
    administration: AdministrationService, name: str
) -> None:
    for attempt in (
        administration.create_user(ROOT, name, PASSWORD, is_admin=False),
        administration.set_password(ROOT, name, PASSWORD),
        administration.set_user_disabled(ROOT, name, True),
    ):
        with pytest.raises(InvalidRequest, match="no user name") as refused:
            await attempt
        assert [violation.field for violation in refused.value.violations] == ["name"]


@pytest.mark.parametrize("password", ["", "seven77", "x" * 1_025])
async def test_a_password_that_is_too_short_or_too_long_is_refused(
    administration: AdministrationService, password: str
) -> None:
    for attempt in (
        administration.create_user(ROOT, "carol", password, is_admin=False),
        administration.set_password(ALICE, "alice", password),
    ):
        with pytest.raises(InvalidRequest, match=f"{len(password)} characters"):
            await attempt


async def test_users_are_listed_in_pages(administration: AdministrationService) -> None:
    for name in ("bob", "carol"):
        await administration.create_user(ROOT, name, PASSWORD, is_admin=False)
    names: list[str] = []
    token = ""
    while True:
        page = await administration.list_users(ROOT, page_size=3, page_token=token)
        names += [user.name for user in page.users]
        token = page.next_page_token
        if not token:
            break
    assert names == ["alice", "bob", "carol", "root"]


async def test_tokens_are_listed_in_pages(administration: AdministrationService) -> None:
    made = [(await administration.create_token(ROOT, TokenCommand("alice")))[0] for _ in range(5)]
    found: list[Token] = []
    token = ""
    for _ in range(3):
        page = await administration.list_tokens(ROOT, page_size=2, page_token=token)
        found += page.tokens
        token = page.next_page_token
    assert (found, token) == (sorted(made, key=lambda one: (one.create_time, one.token_id)), "")


async def test_a_page_token_of_the_other_list_is_refused(
    administration: AdministrationService,
) -> None:
    users = (await administration.list_users(ROOT, page_size=1, page_token="")).next_page_token
    with pytest.raises(InvalidRequest):
        await administration.list_tokens(ROOT, page_size=1, page_token=users)


class TestPasswords:
    async def test_a_new_one_ends_every_session_of_the_user(self, known: Identities) -> None:
        ticket = (await known.log_in()).ticket
        _, secret = await known.token("alice")
        other = (await known.log_in("root")).ticket
        await known.grant(session_ticket=ticket)
        await known.administration.set_password(ROOT, "alice", NEW)
        with pytest.raises(Unauthenticated):
            await known.grant(session_ticket=ticket)
        await known.grant(session_ticket=other)
        await known.grant(authorization=f"Bearer {secret}")
        await known.log_in(password=NEW)

    async def test_a_user_sets_his_own(self, known: Identities) -> None:
        await known.administration.set_password(ALICE, "alice", NEW)
        await known.log_in(password=NEW)

    async def test_anothers_token_does_not(self, known: Identities) -> None:
        acting = Principal("alice", is_admin=False, delegated=True)
        with pytest.raises(PermissionDenied):
            await known.administration.set_password(acting, "alice", NEW)

    async def test_an_administrators_needs_his_rights(self, known: Identities) -> None:
        with pytest.raises(PermissionDenied, match="rights"):
            await known.administration.set_password(Principal("root", False), "root", NEW)
        await known.administration.set_password(ROOT, "root", NEW)

    async def test_only_a_user_has_one(self, administration: AdministrationService) -> None:
        with pytest.raises(NotFound, match="'bob'"):
            await administration.set_password(ROOT, "bob", NEW)
        with pytest.raises(NotFound, match="'bob'"):
            await administration.set_password(Principal("bob", False), "bob", NEW)


class TestDisabling:
    async def test_it_refuses_the_user_whatever_he_holds_and_at_once(
        self, known: Identities
    ) -> None:
        ticket = (await known.log_in()).ticket
        _, own = await known.token("alice", for_users=["bob"])
        _, service = await known.token("service", for_users=["*"])
        ways = [
            {"session_ticket": ticket},
            {"authorization": f"Bearer {own}"},
            {"token_code": own, "token_user": "bob"},
            {"token_code": service, "token_user": "alice"},
        ]
        for way in ways:
            await known.grant(**way)
        assert (await known.administration.set_user_disabled(ROOT, "alice", True)).disabled
        for way in ways:
            with pytest.raises(Unauthenticated):
                await known.grant(**way)
        with pytest.raises(Unauthenticated):
            await known.log_in()
        await known.grant(token_code=service, token_user="bob")

    async def test_enabling_lets_tokens_and_passwords_in_again_but_no_session(
        self, known: Identities
    ) -> None:
        ticket = (await known.log_in()).ticket
        _, secret = await known.token("alice")
        for disabled in (True, False):
            await known.administration.set_user_disabled(ROOT, "alice", disabled)
        await known.grant(authorization=f"Bearer {secret}")
        await known.log_in()
        with pytest.raises(Unauthenticated):
            await known.grant(session_ticket=ticket)

    async def test_nobody_disables_himself(self, administration: AdministrationService) -> None:
        with pytest.raises(WrongState, match="another administrator"):
            await administration.set_user_disabled(ROOT, "root", True)
        await administration.set_user_disabled(ROOT, "root", False)

    async def test_only_a_user_is_disabled(self, administration: AdministrationService) -> None:
        with pytest.raises(NotFound, match="'bob'"):
            await administration.set_user_disabled(ROOT, "bob", True)

    async def test_a_caller_who_goes_away_does_not_stop_it(self, known: Identities) -> None:
        _, secret = await known.token("alice")
        await known.grant(authorization=f"Bearer {secret}")
        disabling = asyncio.create_task(known.administration.set_user_disabled(ROOT, "alice", True))
        await asyncio.sleep(0)
        disabling.cancel()
        await asyncio.wait([disabling])
        await known.administration._background.__aexit__()  # what goes on has ended
        with pytest.raises(Unauthenticated):
            await known.grant(authorization=f"Bearer {secret}")


class TestTokens:
    async def test_a_token_is_made_as_asked(self, known: Identities) -> None:
        expire_time = known.clock.now + timedelta(days=1)
        command = TokenCommand("root", True, ["bob", "*"], ["10.0.0.0/8", "::1"], expire_time)
        token, secret = await known.administration.create_token(ROOT, command)
        assert (token.user, token.is_admin, token.expire_time) == ("root", True, expire_time)
        assert (token.for_users, token.hosts) == (("bob", "*"), ("10.0.0.0/8", "::1"))
        grant = await known.grant(authorization=f"Bearer {secret}", address="10.1.2.3")
        assert grant.principal == ROOT

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"user": ""}, "user"),
            ({"user": "a b"}, "user"),
            ({"is_admin": True}, "isAdmin"),
            ({"user": "nobody", "is_admin": True}, "isAdmin"),
            ({"for_users": [""]}, "forUsers"),
            ({"for_users": ["bob", "a*"]}, "forUsers"),
            ({"for_users": ["bob"] * 1_001}, "forUsers"),
            ({"hosts": [""]}, "hosts"),
            ({"hosts": ["example.org"]}, "hosts"),
            ({"hosts": ["10.0.0.1/8"]}, "hosts"),
            ({"hosts": ["10.0.0.0/33"]}, "hosts"),
            ({"hosts": ["::1"] * 1_001}, "hosts"),
        ],
    )
    async def test_a_wrong_one_tells_which_field(
        self, administration: AdministrationService, changes: dict[str, Any], field: str
    ) -> None:
        with pytest.raises(InvalidRequest) as refused:
            await administration.create_token(ROOT, TokenCommand(**{"user": "alice", **changes}))
        assert [violation.field for violation in refused.value.violations] == [field]

    async def test_one_that_has_expired_already_is_not_made(self, known: Identities) -> None:
        command = TokenCommand("alice", expire_time=known.clock.now)
        with pytest.raises(InvalidRequest, match="in the past"):
            await known.administration.create_token(ROOT, command)

    async def test_a_revoked_one_is_refused_at_once(self, known: Identities) -> None:
        token, secret = await known.administration.create_token(ROOT, TokenCommand("bob"))
        await known.grant(authorization=f"Bearer {secret}")
        await known.administration.revoke_token(ROOT, token.token_id)
        with pytest.raises(Unauthenticated):
            await known.grant(authorization=f"Bearer {secret}")

    @pytest.mark.parametrize("token_id", ["", "unknown", "\0", "x" * 10_000])
    async def test_one_that_is_not_there_is_not_revoked(
        self, administration: AdministrationService, token_id: str
    ) -> None:
        with pytest.raises(NotFound, match="no token") as refused:
            await administration.revoke_token(ROOT, token_id)
        assert len(refused.value.message) < 200


class TestFirstAdministrator:
    async def test_he_has_a_token_and_no_password(self, known: Identities, tmp_path: Path) -> None:
        await ensure_administrator(known.store, tmp_path)
        path = tmp_path / "admin.token"
        assert path.stat().st_mode & 0o777 == 0o600
        grant = await known.grant(authorization=f"Bearer {path.read_text().strip()}")
        assert grant.principal == Principal(ADMIN_USER, is_admin=True)
        with pytest.raises(Unauthenticated):
            await known.log_in(ADMIN_USER, "")
        await known.administration.set_password(grant.principal, ADMIN_USER, NEW)
        await known.log_in(ADMIN_USER, NEW)

    async def test_a_further_start_changes_nothing(self, known: Identities, tmp_path: Path) -> None:
        await ensure_administrator(known.store, tmp_path)
        await known.administration.set_password(ROOT, ADMIN_USER, NEW)
        secret = (tmp_path / "admin.token").read_text()
        await ensure_administrator(known.store, tmp_path)
        assert (tmp_path / "admin.token").read_text() == secret
        await known.log_in(ADMIN_USER, NEW)

    @pytest.mark.parametrize("lost", ["file", "token"])
    async def test_a_token_that_is_lost_is_made_anew(
        self, known: Identities, tmp_path: Path, lost: str
    ) -> None:
        await ensure_administrator(known.store, tmp_path)
        path = tmp_path / "admin.token"
        old = path.read_text().strip()
        if lost == "file":
            path.unlink()
        else:
            await known.administration.revoke_token(ROOT, ADMIN_USER)
        await ensure_administrator(known.store, tmp_path)
        assert path.read_text().strip() != old
        with pytest.raises(Unauthenticated):
            await known.grant(authorization=f"Bearer {old}")
        await known.grant(authorization=f"Bearer {path.read_text().strip()}")
