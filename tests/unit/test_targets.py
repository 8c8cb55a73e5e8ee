"""Targets that name several servers."""

from __future__ import annotations

import json

import pytest

from entrance import targets
from entrance.hosts import is_local


@pytest.mark.parametrize(
    "target",
    ["127.0.0.1:9104", "unix:/run/a.sock", "dns:service:9104", "ipv4:10.0.0.1:1,10.0.0.2:2"],
)
def test_a_target_of_one_server_or_with_a_scheme_is_left_as_it_is(target: str) -> None:
    assert targets.for_channel(target) == target
    assert targets.options(target) == {}


@pytest.mark.parametrize(
    ("target", "channel"),
    [
        ("127.0.0.1:1,127.0.0.2:2", "ipv4:127.0.0.1:1,127.0.0.2:2"),
        (" 127.0.0.1:1 , 127.0.0.2:2,", "ipv4:127.0.0.1:1,127.0.0.2:2"),
        ("[::1]:1,[::1]:2", "ipv6:[::1]:1,[::1]:2"),
        ("127.0.0.1:1,no.such.host.invalid:2", "ipv4:127.0.0.1:1"),
    ],
)
def test_a_list_becomes_addresses(target: str, channel: str) -> None:
    assert targets.for_channel(target) == channel


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("127.0.0.1,127.0.0.2:2", "has no port"),
        ("127.0.0.1:x,127.0.0.2:2", "has no port"),
        ("one.invalid:1,two.invalid:2", "none of the hosts"),
        ("127.0.0.1:1,[::1]:2", "no kind of address in common"),
    ],
)
def test_a_list_that_can_not_be_used_is_refused(target: str, words: str) -> None:
    with pytest.raises(targets.TargetError, match=words):
        targets.for_channel(target)


def test_callers_are_spread_over_the_servers() -> None:
    service = json.loads(str(targets.options("a:1,b:2")["grpc.service_config"]))
    assert service["loadBalancingConfig"] == [{"pick_first": {"shuffleAddressList": True}}]


def test_a_list_is_local_when_all_of_it_is() -> None:
    assert is_local("127.0.0.1:1,localhost:2")
    assert not is_local("127.0.0.1:1,10.0.0.7:2")
