"""From the credentials of a call to its caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrance_server.domain.errors import Unauthenticated
from entrance_server.domain.job import Principal
from entrance_server.service.auth import Credentials, Grant
from tests.unit.identities import ADDRESS, ALICE, IDLE, ROOT, Identities, identities

BOB = Principal("bob", is_admin=False)
SECOND = timedelta(seconds=1)


@pytest.fixture
async def known(tmp_path: Path) -> AsyncIterator[Identities]:
    async with identities(tmp_path) as made:
        yield made


async def refusal(known: Identities, **credentials: str) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as refused:
        await known.grant(**credentials)
    return refused.value


async def test_a_bearer_acts_as_the_user_of_his_token(known: Identities) -> None:
    _, secret = await known.token("alice")
    assert await known.principal(authorization=f"Bearer {secret}") == ALICE
    assert await known.principal(authorization=f"bearer  {secret} ") == ALICE


async def test_a_token_may_be_for_a_name_that_is_no_user(known: Identities) -> None:
    _, secret = await known.token("bob")
    assert await known.principal(authorization=f"Bearer {secret}") == BOB


@pytest.mark.parametrize(
    ("user", "is_admin", "admin"),
    [("root", True, True), ("root", False, False), ("alice", True, False), ("bob", True, False)],
)
async def test_administrators_rights_need_both_the_token_and_its_user(
    known: Identities, user: str, is_admin: bool, admin: bool
) -> None:
    _, secret = await known.token(user, is_admin=is_admin)
    assert (await known.principal(authorization=f"Bearer {secret}")).is_admin is admin


@pytest.mark.parametrize(
    ("for_users", "user"), [((), "root"), (("bob",), "bob"), (("*",), "anybody")]
)
async def test_a_token_acts_for_its_own_user_and_those_that_it_names(
    known: Identities, for_users: tuple[str, ...], user: str
) -> None:
    _, secret = await known.token("root", is_admin=True, for_users=for_users)
    principal = await known.principal(token_code=secret, token_user=user)
    is_own = user == "root"
    assert principal == Principal(user, is_admin=is_own, delegated=not is_own)


@pytest.mark.parametrize(
    ("for_users", "user"),
    [((), "bob"), (("bob",), "carol"), (("*",), "no user"), (("*",), "x" * 65), (("*",), "*")],
)
async def test_a_token_acts_for_nobody_else(
    known: Identities, for_users: tuple[str, ...], user: str
) -> None:
    _, secret = await known.token("alice", for_users=for_users)
    assert (await refusal(known, token_code=secret, token_user=user)).reason == "WRONG_CREDENTIALS"


async def test_a_session_acts_as_its_user(known: Identities) -> None:
    alice, root = await known.log_in("alice"), await known.log_in("root")
    assert await known.principal(session_ticket=alice.ticket) == ALICE
    assert await known.principal(session_ticket=root.ticket) == ROOT


async def test_the_first_credential_decides_alone(known: Identities) -> None:
    _, bearer = await known.token("carol")
    _, code = await known.token("alice", for_users=["bob"])
    ticket = (await known.log_in()).ticket
    pair = {"token_code": code, "token_user": "bob"}
    everything = {"authorization": f"Bearer {bearer}", **pair, "session_ticket": ticket}
    assert (await known.principal(**everything)).user == "carol"
    assert (await known.principal(**pair, session_ticket=ticket)).user == "bob"
    await refusal(known, **{**everything, "authorization": "Bearer wrong"})
    await refusal(known, token_code="wrong", token_user="bob", session_ticket=ticket)


async def test_half_a_pair_is_refused_with_what_is_missing(known: Identities) -> None:
    ticket = (await known.log_in()).ticket
    for half in ({"token_code": "x"}, {"token_user": "alice"}):
        assert "send both" in (await refusal(known, **half, session_ticket=ticket)).message


async def test_without_credentials_the_ways_to_send_them_are_told(known: Identities) -> None:
    error = await refusal(known)
    assert error.reason == "NO_CREDENTIALS"
    assert "Bearer" in error.message


async def test_everything_that_is_not_valid_is_told_in_one_wording(known: Identities) -> None:
    clock = known.clock
    _, secret = await known.token("alice", expire_time=clock.now + SECOND)
    revoked, other = await known.token("alice")
    _, elsewhere = await known.token("alice", hosts=["10.0.0.0/8"])
    ticket = (await known.log_in()).ticket
    idle = (await known.log_in()).ticket
    await known.login.log_out(ticket)
    await known.store.remove_token(revoked.token_id)
    clock.advance(IDLE)
    wrong = [
        {"authorization": f"Bearer {secret}"},
        {"authorization": f"Bearer {other}"},
        {"authorization": f"Bearer {elsewhere}"},
        {"authorization": "Bearer forged"},
        {"authorization": "Bearer "},
        {"authorization": f"Basic {secret}"},
        {"token_code": elsewhere, "token_user": "bob"},
        {"session_ticket": ticket},
        {"session_ticket": idle},
        {"session_ticket": "forged"},
    ]
    refusals = [await refusal(known, **one) for one in wrong]
    assert {(error.reason, error.message) for error in refusals} == {
        ("WRONG_CREDENTIALS", refusals[0].message)
    }


async def test_a_token_ends_at_its_time(known: Identities) -> None:
    expire_time = known.clock.now + 10 * SECOND
    _, secret = await known.token("alice", expire_time=expire_time)
    bearer = {"authorization": f"Bearer {secret}"}
    known.clock.advance(10 * SECOND - timedelta(microseconds=1))
    assert await known.principal(**bearer) == ALICE
    known.clock.advance(timedelta(microseconds=1))
    await refusal(known, **bearer)


@pytest.mark.parametrize(
    ("hosts", "address"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["192.0.2.0/24"], "192.0.2.255"),
        (["10.0.0.0/8", "2001:db8::/32"], "2001:db8::7"),
        (["192.0.2.1"], "::ffff:192.0.2.1"),
        (["fe80::/10"], "fe80::1%eth0"),
    ],
)
async def test_a_token_is_taken_from_its_hosts(
    known: Identities, hosts: list[str], address: str
) -> None:
    _, secret = await known.token("alice", hosts=hosts)
    assert await known.principal(authorization=f"Bearer {secret}", address=address) == ALICE


@pytest.mark.parametrize("address", ["192.0.3.0", "::1", "", "unknown", "192.0.2.1.example"])
async def test_a_token_with_hosts_is_taken_from_nowhere_else(
    known: Identities, address: str
) -> None:
    _, secret = await known.token("alice", hosts=["192.0.2.0/24"])
    bearer = {"authorization": f"Bearer {secret}"}
    assert await known.principal(**bearer) == ALICE  # known by now
    await refusal(known, **bearer, address=address)


async def test_a_known_caller_costs_no_look_into_the_store(known: Identities) -> None:
    _, secret = await known.token("alice", for_users=["bob"], hosts=[ADDRESS])
    ticket = (await known.log_in()).ticket
    ways = [
        {"authorization": f"Bearer {secret}"},
        {"token_code": secret, "token_user": "bob"},
        {"session_ticket": ticket},
    ]
    for way in ways:
        await known.grant(**way)
    store = known.store
    asked = store.reads, store.writes
    for way in ways * 10:
        await known.grant(**way)
    assert (store.reads, store.writes) == asked


async def test_what_another_server_of_the_store_did_is_seen_soon(known: Identities) -> None:
    token, secret = await known.token("alice")
    ticket = (await known.log_in("root")).ticket
    await known.grant(authorization=f"Bearer {secret}")
    await known.grant(session_ticket=ticket)
    await known.store.remove_token(token.token_id)
    await known.store.set_user_disabled("root", True)
    known.clock.advance(timedelta(seconds=5))
    await refusal(known, authorization=f"Bearer {secret}")
    await refusal(known, session_ticket=ticket)


async def test_a_session_lives_while_it_is_used(known: Identities) -> None:
    ticket = (await known.log_in()).ticket
    for _ in range(3):
        known.clock.advance(IDLE - timedelta(minutes=2))
        assert await known.principal(session_ticket=ticket) == ALICE
    known.clock.advance(IDLE)
    await refusal(known, session_ticket=ticket)


async def test_the_use_of_a_session_is_noted_once_a_minute_at_most(known: Identities) -> None:
    ticket = (await known.log_in()).ticket
    before = known.store.writes
    for _ in range(600):
        known.clock.advance(SECOND)
        await known.grant(session_ticket=ticket)
    assert known.store.writes - before == 10


async def test_a_session_survives_a_restart(tmp_path: Path) -> None:
    async with identities(tmp_path) as first:
        ticket = (await first.log_in()).ticket
        first.clock.advance(IDLE / 2)
        await first.grant(session_ticket=ticket)
    async with identities(tmp_path, clock=first.clock) as second:
        second.clock.advance(IDLE / 2 + SECOND)
        assert await second.principal(session_ticket=ticket) == ALICE


async def test_a_grant_that_ends_while_it_is_looked_up_is_not_kept(known: Identities) -> None:
    token, secret = await known.token("alice")
    bearer = {"authorization": f"Bearer {secret}"}
    looking = asyncio.create_task(known.grant(**bearer))
    await asyncio.sleep(0)  # it has asked the store
    await known.administration.revoke_token(ROOT, token.token_id)
    await asyncio.wait([looking])
    await refusal(known, **bearer)


class Stream:
    """A call that goes on until it is cut off."""

    def __init__(self, known: Identities, grant: Grant) -> None:
        self.begun = asyncio.Event()
        self.task = asyncio.create_task(self._run(known, grant))

    async def _run(self, known: Identities, grant: Grant) -> None:
        async with known.authenticator.holding(grant):
            self.begun.set()
            await asyncio.Event().wait()


async def stream(known: Identities, **credentials: str) -> Stream:
    opened = Stream(known, await known.grant(**credentials))
    await opened.begun.wait()
    return opened


async def test_a_stream_ends_with_what_its_caller_was_known_by(known: Identities) -> None:
    token, secret = await known.token("alice", for_users=["bob"])
    _, other = await known.token("alice")
    ticket = (await known.log_in()).ticket
    revoked = await stream(known, authorization=f"Bearer {secret}")
    delegated = await stream(known, token_code=secret, token_user="bob")
    kept = await stream(known, authorization=f"Bearer {other}")
    session = await stream(known, session_ticket=ticket)

    await known.administration.revoke_token(ROOT, token.token_id)
    for ended in (revoked, delegated):
        with pytest.raises(Unauthenticated):
            await ended.task
    await known.login.log_out(ticket)
    with pytest.raises(Unauthenticated):
        await session.task
    assert not kept.task.done()
    await known.administration.set_user_disabled(ROOT, "alice", True)
    await known.administration.set_user_disabled(ROOT, "alice", True)  # once is enough
    with pytest.raises(Unauthenticated):
        await kept.task


async def test_a_stream_ends_when_its_token_expires(known: Identities) -> None:
    expire_time = known.clock.now + timedelta(milliseconds=1)
    _, secret = await known.token("alice", expire_time=expire_time)
    opened = await stream(known, authorization=f"Bearer {secret}")
    with pytest.raises(Unauthenticated):
        await opened.task


async def test_a_stream_that_fails_by_itself_says_why(known: Identities) -> None:
    _, secret = await known.token("alice")
    grant = await known.grant(authorization=f"Bearer {secret}")
    with pytest.raises(TimeoutError, match="its own"):
        async with known.authenticator.holding(grant):
            raise TimeoutError("its own")


text = st.text(st.characters(codec="utf-8"), max_size=100)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    credentials=st.builds(
        Credentials,
        authorization=text | text.map(lambda secret: f"Bearer {secret}"),
        token_code=text,
        token_user=text,
        session_ticket=text,
        address=text,
    )
)
async def test_credentials_of_any_kind_are_refused_and_nothing_worse(
    known: Identities, credentials: Credentials
) -> None:
    with pytest.raises(Unauthenticated):
        await known.authenticator.authenticate(credentials)


@pytest.mark.parametrize("change", ["token", "session", "user"])
async def test_a_call_that_goes_on_is_cut_off_when_its_grant_ended_without_a_notice(
    known: Identities, change: str
) -> None:
    token, secret = await known.token("alice")
    if change == "session":
        grant = await known.grant(session_ticket=(await known.log_in()).ticket)
    else:
        grant = await known.grant(authorization=f"Bearer {secret}")
    other = await known.grant(authorization=f"Bearer {(await known.token('bob'))[1]}")

    async def change_it() -> None:
        if change == "token":
            await known.store.remove_token(token.token_id)
        elif change == "session":
            await known.store.remove_login_session(grant.ticket_hash)
        else:
            await known.store.set_user_disabled("alice", True)

    await is_held(known, other, until=known.authenticator.recheck)
    await change_it()
    with pytest.raises(Unauthenticated):
        await is_held(known, grant, until=known.authenticator.recheck)
    await is_held(known, other, until=known.authenticator.recheck)


async def is_held(known: Identities, grant: Grant, *, until: Callable[[], Awaitable[None]]) -> None:
    """A call that goes on while something else is done."""
    async with known.authenticator.holding(grant):
        await until()
        await asyncio.sleep(0.01)  # is cut off here
