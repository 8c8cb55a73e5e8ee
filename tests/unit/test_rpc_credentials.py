"""What a call tells of its caller."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrance_server.domain.errors import Unauthenticated
from entrance_server.rpc.credentials import CredentialsReader, peer_address
from entrance_server.service.auth import Credentials


@dataclass
class Call:
    """What gRPC tells of a call."""

    metadata: Sequence[tuple[str, str]] = ()
    caller: str = "ipv4:10.0.0.7:50312"

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        return self.metadata

    def peer(self) -> str:
        return self.caller


def read(call: Any, *gateways: str) -> Credentials:
    if not gateways:
        return CredentialsReader().read(call)
    return CredentialsReader([ipaddress.ip_network(one) for one in gateways]).read(call)


def test_every_credential_is_read_and_nothing_else() -> None:
    metadata = [
        ("user-agent", "x"),
        ("authorization", "Bearer a"),
        ("token-code", "c"),
        ("token-user", "alice"),
        ("session-ticket", "t"),
    ]
    assert read(Call(metadata)) == Credentials("Bearer a", "c", "alice", "t", "10.0.0.7")


def test_a_call_without_metadata_has_an_address_alone() -> None:
    assert read(Call()) == Credentials(address="10.0.0.7")


@pytest.mark.parametrize("key", ["authorization", "session-ticket", "caller-address"])
def test_what_is_there_twice_is_not_guessed_at(key: str) -> None:
    with pytest.raises(Unauthenticated, match=f"{key} is there twice"):
        read(Call([(key, "a"), (key, "a")]))


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.0.0.7:50312", "10.0.0.7"),
        ("ipv6:%5B::1%5D:50312", "::1"),
        ("ipv6:[2001:db8::7]:50312", "2001:db8::7"),
        ("unix:/run/entrance.sock", "127.0.0.1"),
        ("unix-abstract:x:1", ""),
        ("", ""),
    ],
)
def test_a_peers_address_is_its_host_alone(peer: str, address: str) -> None:
    assert peer_address(peer) == address


@pytest.mark.parametrize(
    "peer", ["ipv4:127.0.0.1:1", "ipv6:%5B::1%5D:1", "ipv6:%5B::ffff:127.0.0.1%5D:1"]
)
def test_a_gateway_on_this_machine_is_believed(peer: str) -> None:
    call = Call([("caller-address", "192.0.2.1")], peer)
    assert read(call).address == "192.0.2.1"


def test_who_calls_at_the_servers_own_socket_is_believed() -> None:
    call = Call([("caller-address", "192.0.2.1")], "unix:/run/server.sock")
    assert read(call, "10.0.0.0/8").address == "192.0.2.1"
    assert read(Call((), "unix:")).address == "127.0.0.1"


def test_nobody_else_is_believed() -> None:
    call = Call([("caller-address", "127.0.0.1")])
    assert read(call).address == "10.0.0.7"
    assert read(call, "10.0.0.0/8").address == "127.0.0.1"
    local = Call([("caller-address", "192.0.2.1")], "ipv4:127.0.0.1:1")
    assert read(local, "10.0.0.0/8").address == "127.0.0.1"


@given(st.text(st.characters(codec="ascii")))
def test_an_address_that_a_gateway_does_not_know_is_none(text: str) -> None:
    call = Call([("caller-address", f"no address {text}")], "ipv4:127.0.0.1:1")
    assert read(call).address == ""
