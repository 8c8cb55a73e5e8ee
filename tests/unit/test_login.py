"""Logins by password, plain or encrypted."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import argon2
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrance_server.domain.errors import InvalidRequest, TooManyAttempts, Unauthenticated
from entrance_server.service.attempts import AttemptLimits
from entrance_server.service.login_key import KEY_FILE, LoginKey
from entrance_server.service.passwords import Passwords
from tests.unit.identities import IDLE, PASSWORD, ROOT, Identities, cheap_passwords, identities

PKCS1 = padding.PKCS1v15()
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


@pytest.fixture
async def known(tmp_path: Path) -> AsyncIterator[Identities]:
    limits = AttemptLimits(per_name=3, per_address=10)
    async with identities(tmp_path, limits=limits) as made:
        yield made


async def wrong(known: Identities, name: str, password: str) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as refused:
        await known.log_in(name, password)
    return refused.value


async def test_a_login_tells_of_the_user_and_opens_a_session(known: Identities) -> None:
    view = await known.log_in()
    assert (view.before.name, view.before.login_count, view.session_idle) == ("alice", 0, IDLE)
    assert (await known.grant(session_ticket=view.ticket)).principal.user == "alice"
    first = known.clock.now
    known.clock.advance(timedelta(days=1))
    again = await known.log_in()
    assert (again.before.login_count, again.before.last_login_time) == (1, first)
    assert again.ticket != view.ticket


async def test_a_ticket_is_kept_as_a_hash_alone(known: Identities, tmp_path: Path) -> None:
    ticket = (await known.log_in()).ticket
    assert len(base64.urlsafe_b64decode(ticket + "=")) == 32
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    assert not any(ticket.encode() in content for content in files)
    assert not any(PASSWORD.encode() in content for content in files)


@pytest.mark.parametrize("name", ["alice", "nobody", "disabled", "without", "no name", "x" * 100])
async def test_whatever_is_wrong_is_told_in_one_wording(known: Identities, name: str) -> None:
    await known.administration.create_user(ROOT, "disabled", PASSWORD, is_admin=False)
    await known.administration.set_user_disabled(ROOT, "disabled", True)
    password = "wrong" if name == "alice" else PASSWORD
    error = await wrong(known, name, password)
    assert (error.reason, error.message) == (
        "WRONG_PASSWORD",
        "The user name or the password is wrong.",
    )


async def test_a_name_that_is_no_users_costs_a_check_too(
    known: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    original = Passwords._matches

    def noted(self: Passwords, password_hash: str, password: str) -> bool:
        checked.append(password_hash.split("$")[3])
        return original(self, password_hash, password)

    monkeypatch.setattr(Passwords, "_matches", noted)
    await wrong(known, "alice", "wrong")
    await wrong(known, "nobody", "wrong")
    await wrong(known, "no name", "wrong")
    assert len(checked) == 3
    assert len(set(checked)) == 1  # with the same parameters


async def test_too_many_wrong_passwords_hold_back_the_right_one(known: Identities) -> None:
    for name in ("alice", "nobody"):
        for _ in range(3):
            await wrong(known, name, "wrong")
        with pytest.raises(TooManyAttempts) as refused:
            await known.log_in(name)
        assert refused.value.retry_after == 300
    known.clock.advance(timedelta(seconds=300))
    await known.log_in()


async def test_attempts_at_once_do_not_outrun_the_limit(known: Identities) -> None:
    tried = await asyncio.gather(
        *(known.log_in(password=f"wrong {n}") for n in range(10)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in tried) == [
        *["TooManyAttempts"] * 7,
        *["WrongPassword"] * 3,
    ]


async def test_a_password_set_while_the_old_one_is_checked_lets_nobody_in(
    known: Identities,
) -> None:
    login = asyncio.create_task(known.log_in())
    await asyncio.sleep(0)
    await known.administration.set_password(ROOT, "alice", "another one")
    (outcome,) = await asyncio.gather(login, return_exceptions=True)
    if not isinstance(outcome, BaseException):  # it was in before
        with pytest.raises(Unauthenticated):
            await known.grant(session_ticket=outcome.ticket)


async def test_a_logout_ends_its_session_alone(known: Identities) -> None:
    first, second = (await known.log_in()).ticket, (await known.log_in()).ticket
    await known.grant(session_ticket=first)
    await known.login.log_out(first)
    await known.login.log_out(first)
    await known.login.log_out("")
    with pytest.raises(Unauthenticated):
        await known.grant(session_ticket=first)
    await known.grant(session_ticket=second)


async def public_key(known: Identities) -> rsa.RSAPublicKey:
    der = base64.b64decode(await known.login.public_key(), validate=True)
    key = serialization.load_der_public_key(der)
    assert isinstance(key, rsa.RSAPublicKey)
    return key


@pytest.mark.parametrize("scheme", [PKCS1, OAEP], ids=["PKCS#1 v1.5", "OAEP"])
async def test_a_password_may_come_encrypted(
    known: Identities, scheme: padding.AsymmetricPadding
) -> None:
    key = await public_key(known)
    for text in (PASSWORD, "pässwörd 密码"):
        await known.administration.set_password(ROOT, "alice", text)
        encrypted = base64.encodebytes(key.encrypt(text.encode(), scheme)).decode()
        view = await known.log_in(password=encrypted, encrypted=True)
        assert view.before.name == "alice"


async def test_a_password_encrypted_by_another_key_is_a_wrong_one(known: Identities) -> None:
    other = rsa.generate_private_key(public_exponent=65_537, key_size=2_048).public_key()
    for scheme in (PKCS1, OAEP):
        encrypted = base64.b64encode(other.encrypt(PASSWORD.encode(), scheme)).decode()
        with pytest.raises(Unauthenticated, match="name or the password"):
            await known.log_in(password=encrypted, encrypted=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()))
async def test_a_password_that_is_not_encrypted_says_so(known: Identities, text: str) -> None:
    with pytest.raises(InvalidRequest, match="key of GetPublicKey") as refused:
        await known.log_in(password=text, encrypted=True)
    assert [violation.field for violation in refused.value.violations] == ["password"]


async def test_a_forged_encryption_is_a_password_that_nobody_has(tmp_path: Path) -> None:
    key = LoginKey(tmp_path)
    for forged in (bytes(256), b"\xff" * 256, *(os.urandom(256) for _ in range(20))):
        assert await key.decrypt(base64.b64encode(forged).decode()) != PASSWORD


async def test_the_key_is_for_its_owner_alone_and_stays(tmp_path: Path) -> None:
    first = await LoginKey(tmp_path).public()
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert await LoginKey(tmp_path).public() == first
    assert os.listdir(tmp_path) == [KEY_FILE]


async def test_those_who_ask_for_the_key_at_once_get_the_same_one(tmp_path: Path) -> None:
    key = LoginKey(tmp_path)
    assert len(set(await asyncio.gather(*(key.public() for _ in range(5))))) == 1


async def test_a_hash_says_argon2id_and_never_the_same_twice() -> None:
    async with cheap_passwords() as passwords:
        first, second = await passwords.hash(PASSWORD), await passwords.hash(PASSWORD)
        assert first.startswith("$argon2id$")
        assert first != second
        assert await passwords.matches(first, PASSWORD)
        assert not await passwords.matches(first, PASSWORD + " ")
        assert not await passwords.matches(None, PASSWORD)


async def test_the_hash_of_nobody_costs_as_much_to_check_as_any_other() -> None:
    hasher = argon2.PasswordHasher()
    async with Passwords(hasher) as one, Passwords(hasher) as other:
        for nobodys in (one._nobodys, other._nobodys):
            assert not hasher.check_needs_rehash(nobodys)
            assert len(nobodys) == len(hasher.hash(PASSWORD))
            with pytest.raises(argon2.exceptions.VerifyMismatchError):
                hasher.verify(nobodys, PASSWORD)
        assert one._nobodys != other._nobodys


async def test_the_usual_hasher_costs_what_is_recommended() -> None:
    async with Passwords() as passwords:
        assert "$m=65536,t=3,p=4$" in passwords._nobodys
