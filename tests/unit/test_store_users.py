"""What every store promises of users, their logins and tokens."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from entrance_server.domain import errors
from entrance_server.domain.users import LoginSession, Token, User
from entrance_server.store import SqlStore
from entrance_server.store.port import Store

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
LONG_AGO = START - timedelta(days=1)
ALICE = User("alice", "hash of alice", is_admin=False, create_time=START)
BOB = User("bob", None, is_admin=True, create_time=START)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with SqlStore(url) as opened:
        for user in (ALICE, BOB):
            assert await opened.add_user(user)
        yield opened


def session(ticket: bytes, **changes: Any) -> LoginSession:
    return dataclasses.replace(LoginSession(ticket, "alice", START, START), **changes)


def token(id: str, **changes: Any) -> Token:
    return dataclasses.replace(Token(id, "alice", False, id.encode(), START), **changes)


async def log_in(store: Store, made: LoginSession, **changes: Any) -> User | None:
    given: Any = {"password_hash": ALICE.password_hash, "idle_since": LONG_AGO, **changes}
    return await store.log_in(made, **given)


async def test_a_user_is_read_as_he_was_added(store: Store) -> None:
    assert await store.get_user("alice") == ALICE
    assert await store.get_user("bob") == BOB
    assert await store.get_user("Alice") is None


async def test_a_name_is_taken_once(store: Store) -> None:
    other = dataclasses.replace(ALICE, password_hash="other", is_admin=True)
    assert not await store.add_user(other)
    assert await store.get_user("alice") == ALICE


async def test_of_those_who_add_one_name_at_once_one_succeeds(store: Store) -> None:
    carol = dataclasses.replace(ALICE, name="carol")
    added = await asyncio.gather(*(store.add_user(carol) for _ in range(10)))
    assert sorted(added) == [False] * 9 + [True]


async def test_users_are_listed_by_name_in_pages(store: Store) -> None:
    await store.add_user(dataclasses.replace(ALICE, name="aaron"))
    first = await store.list_users(limit=2)
    assert [user.name for user in first] == ["aaron", "alice"]
    rest = await store.list_users(limit=2, after_name="alice")
    assert rest == [BOB]


async def test_a_login_is_counted_and_tells_of_the_one_before(store: Store) -> None:
    assert await log_in(store, session(b"1")) == ALICE
    later = START + timedelta(hours=1)
    before = await log_in(store, session(b"2", create_time=later))
    assert before is not None
    assert (before.login_count, before.last_login_time) == (1, START)
    now = await store.get_user("alice")
    assert now is not None
    assert (now.login_count, now.last_login_time) == (2, later)


async def test_logins_at_once_are_all_counted(store: Store) -> None:
    await asyncio.gather(*(log_in(store, session(bytes([n]))) for n in range(20)))
    user = await store.get_user("alice")
    assert user is not None
    assert user.login_count == 20


async def test_a_session_is_found_by_the_hash_of_its_ticket(store: Store) -> None:
    made = session(b"\x00\xff")
    await log_in(store, made)
    assert await store.find_login_session(b"\x00\xff") == made
    assert await store.find_login_session(b"\x00") is None


async def test_a_password_that_was_changed_meanwhile_lets_nobody_in(store: Store) -> None:
    await store.set_password("alice", "new")
    assert await log_in(store, session(b"1")) is None
    assert await store.find_login_session(b"1") is None
    user = await store.get_user("alice")
    assert user is not None
    assert user.login_count == 0


async def test_a_user_who_was_disabled_meanwhile_is_not_let_in(store: Store) -> None:
    await store.set_user_disabled("alice", True)
    assert await log_in(store, session(b"1")) is None


async def test_a_use_of_a_session_is_noted(store: Store) -> None:
    await log_in(store, session(b"1"))
    used = START + timedelta(minutes=5)
    await store.touch_login_session(b"1", used)
    await store.touch_login_session(b"2", used)
    assert await store.find_login_session(b"1") == session(b"1", last_used_time=used)
    assert await store.find_login_session(b"2") is None


async def test_a_session_ends_by_itself_alone(store: Store) -> None:
    await log_in(store, session(b"1"))
    await log_in(store, session(b"2"))
    await store.remove_login_session(b"1")
    await store.remove_login_session(b"1")
    assert await store.find_login_session(b"1") is None
    assert await store.find_login_session(b"2") is not None


async def test_a_new_password_ends_the_sessions_of_its_user_alone(store: Store) -> None:
    await store.set_password("bob", "hash of bob")
    await log_in(store, session(b"1"))
    await log_in(store, session(b"2", user="bob"), password_hash="hash of bob")
    changed = await store.set_password("alice", "new")
    assert changed == await store.get_user("alice")
    assert changed.password_hash == "new"
    assert await store.find_login_session(b"1") is None
    assert await store.find_login_session(b"2") is not None


async def test_disabling_ends_sessions_and_enabling_brings_none_back(store: Store) -> None:
    await log_in(store, session(b"1"))
    assert (await store.set_user_disabled("alice", True)).disabled
    assert await store.find_login_session(b"1") is None
    assert not (await store.set_user_disabled("alice", False)).disabled
    assert await store.find_login_session(b"1") is None


async def test_a_login_forgets_sessions_that_were_idle_too_long(store: Store) -> None:
    await log_in(store, session(b"1"))
    await log_in(store, session(b"2", last_used_time=START + timedelta(seconds=1)))
    await log_in(store, session(b"3"), idle_since=START + timedelta(seconds=1))
    assert await store.find_login_session(b"1") is None
    assert await store.find_login_session(b"2") is not None


async def test_a_change_of_a_user_who_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(errors.NotFound, match="'carol'"):
        await store.set_password("carol", "hash")
    with pytest.raises(errors.NotFound, match="'carol'"):
        await store.set_user_disabled("carol", True)


async def test_a_token_is_read_as_it_was_put(store: Store) -> None:
    made = token(
        "t", is_admin=True, for_users=("bob", "*"), hosts=("10.0.0.0/8", "::1"), expire_time=START
    )
    await store.put_token(made)
    assert await store.find_token(b"t") == made


async def test_tokens_are_listed_by_time_and_then_by_id_in_pages(store: Store) -> None:
    made = [token("b"), token("c"), token("a", create_time=START + timedelta(microseconds=1))]
    for one in reversed(made):
        await store.put_token(one)
    first = await store.list_tokens(limit=1)
    assert first == made[:1]
    await store.remove_token("b")
    assert await store.list_tokens(limit=10, after=(START, "b")) == made[1:]
    assert await store.list_tokens(limit=10, after=(START, "c")) == made[2:]


async def test_a_removed_token_is_gone(store: Store) -> None:
    await store.put_token(token("t"))
    assert await store.remove_token("t")
    assert not await store.remove_token("t")
    assert await store.find_token(b"t") is None


async def test_sessions_are_there_after_a_restart(url: str) -> None:
    async with SqlStore(url) as first:
        await first.add_user(ALICE)
        await log_in(first, session(b"1"))
    async with SqlStore(url) as second:
        assert await second.find_login_session(b"1") == session(b"1")
