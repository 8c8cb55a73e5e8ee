"""What proves that another server of the installation handed a call on."""

from __future__ import annotations

import pytest

from entrance_server.domain.errors import PermissionDenied
from entrance_server.rpc.credentials import CredentialsReader
from entrance_server.rpc.hops import Seal
from entrance_server.service.auth import Credentials
from tests.unit.test_rpc_credentials import Call

SENT = Credentials(authorization="Bearer a", address="203.0.113.9")
METADATA = Seal(b"key").metadata(SENT, via="a:9104")


def read(metadata: tuple[tuple[str, str], ...], *, key: bytes = b"key") -> Credentials:
    call: object = Call(metadata)
    return CredentialsReader(seal=Seal(key)).read(call)  # type: ignore[arg-type]


def test_a_call_that_was_handed_on_has_its_callers_credentials_and_address() -> None:
    assert read(METADATA) == Credentials("Bearer a", address="203.0.113.9", via="a:9104")


def test_an_address_that_was_not_known_stays_unknown() -> None:
    metadata = Seal(b"key").metadata(Credentials("Bearer a"), via="a:9104")
    assert read(metadata).address == ""


def test_the_key_itself_is_not_sent() -> None:
    metadata = Seal(b"secret-key").metadata(SENT, via="a:9104")
    assert "secret-key" not in str(metadata)


@pytest.mark.parametrize(
    "change",
    [("caller-address", "127.0.0.1"), ("via-server", "b:9104"), ("via-proof", "0" * 64)],
)
def test_a_proof_holds_for_what_it_was_made_for(change: tuple[str, str]) -> None:
    with pytest.raises(PermissionDenied, match=r"cluster\.key"):
        read(tuple((dict(METADATA) | dict([change])).items()))


@pytest.mark.parametrize("left_out", ["via-proof", "caller-address"])
def test_a_proof_can_not_be_left_out(left_out: str) -> None:
    with pytest.raises(PermissionDenied):
        read(tuple(one for one in METADATA if one[0] != left_out))


def test_a_server_of_another_installation_is_not_believed() -> None:
    with pytest.raises(PermissionDenied):
        read(METADATA, key=b"other")


def test_a_proof_without_a_server_tells_nothing() -> None:
    reader = CredentialsReader(seal=Seal(b"key"))
    call: object = Call((("caller-address", "203.0.113.9"), ("via-proof", "0" * 64)))
    assert reader.read(call).address == "10.0.0.7"  # type: ignore[arg-type]
