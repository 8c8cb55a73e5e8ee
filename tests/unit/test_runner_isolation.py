"""What is done to a command before user code runs, by the installation's policy."""

from __future__ import annotations

import marshal
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from entrance_runner import confine
from entrance_runner.accounts import Account, NoAccount, account_of
from entrance_runner.handover import NotHandedOver, hand_over
from entrance_runner.isolation import Confinement, Isolation, Policy
from entrance_runner.starter_process import Order

ALICE = Account("alice", 4711, 4712, (4712, 4713), "/home/alice")
COMMAND = ["program", "argument"]


def confinement(tmp_path: Path, policy: Policy, account: Account | None = None) -> Confinement:
    return Confinement(
        policy,
        account=account,
        directory=tmp_path,
        scratch=tmp_path / "scratch",
        working_directory=tmp_path / "work",
    )


def steps(command: Sequence[str]) -> Mapping[str, Any]:
    place = command.index(confine.__file__)
    read: dict[str, Any] = marshal.loads(bytes.fromhex(command[place + 1]))
    return read


def test_nothing_is_done_without_isolation(tmp_path: Path) -> None:
    none = confinement(tmp_path, Policy())
    assert none.command(COMMAND) == COMMAND
    assert none.environment({"A": "b"}) == {"A": "b"}


def test_limits_are_set_before_the_command(tmp_path: Path) -> None:
    policy = Policy(Isolation.LIMITS, limits={"RLIMIT_NOFILE": 50}, cgroup="/group")
    command = confinement(tmp_path, policy).command(COMMAND)
    assert command[-2:] == COMMAND
    assert steps(command)["limits"] == {"RLIMIT_NOFILE": 50}
    assert steps(command)["cgroup"] == "/group"
    assert "account" not in steps(command)


def test_another_account_is_taken_for_good(tmp_path: Path) -> None:
    command = confinement(tmp_path, Policy(Isolation.USER), ALICE).command(COMMAND)
    assert steps(command)["account"] == {"uid": 4711, "gid": 4712, "groups": [4712, 4713]}
    assert steps(command)["locked"]


def test_no_variable_of_the_code_acts_before_the_code(tmp_path: Path) -> None:
    given = {"LD_PRELOAD": "evil.so", "PYTHONPATH": "evil"}
    passed = confinement(tmp_path, Policy(Isolation.LIMITS)).environment(given)
    assert not set(passed) & set(given)


def test_the_starter_gives_variables_to_the_code_alone(tmp_path: Path) -> None:
    given = {"LD_PRELOAD": "evil.so", "A": "b"}
    limits = confinement(tmp_path, Policy(Isolation.LIMITS, limits={"RLIMIT_NOFILE": 50}))
    order = limits.order(COMMAND, given, directory=tmp_path)
    assert (order.command, order.environment) == (COMMAND, given)  # no program comes between
    assert order.steps["limits"] == {"RLIMIT_NOFILE": 50}


def test_variables_pass_through_what_makes_a_sandbox(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    sandboxed = confinement(tmp_path, Policy(Isolation.SANDBOX, bwrap="/bwrap"))
    order = sandboxed.order(COMMAND, {"LD_PRELOAD": "evil.so"}, directory=tmp_path)
    assert order.command[0] == "/bwrap"
    assert "LD_PRELOAD" not in order.environment
    assert not order.steps["last"]


def test_an_order_arrives_as_it_was_given(tmp_path: Path) -> None:
    order = Order(COMMAND, {"A": "b"}, str(tmp_path), {"limits": {}}, [0], [7])
    assert Order.from_line(order.to_line()) == order


@pytest.mark.parametrize(
    ("steps", "is_plain"),
    [
        ({}, True),
        (
            {"limits": {"RLIMIT_NOFILE": 4096, "RLIMIT_CORE": 0}, "cgroup": "", "locked": False},
            True,
        ),
        ({"limits": {"RLIMIT_CPU": 60}}, False),  # it would end the starter
        ({"limits": {"RLIMIT_NOFILE": 50}}, False),
        ({"cgroup": "/group"}, False),
        ({"account": ALICE.to_json()}, False),
        ({"locked": True}, False),
        ({"last": False}, False),
    ],
)
def test_the_starter_takes_on_itself_only_limits_that_it_can_live_with(
    steps: Mapping[str, Any], is_plain: bool
) -> None:
    assert Order(["/bin/true"], {}, "/", steps).is_plain == is_plain


def test_what_is_searched_for_or_gets_descriptors_is_prepared() -> None:
    assert not Order(["true"], {}, "/", {}).is_plain
    assert not Order(["/bin/true"], {}, "/", {}, descriptors=[3]).is_plain


def test_a_sandbox_shows_the_session_and_not_what_is_around_it(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    shown = tmp_path / "shown"
    hidden = shown / "data"
    policy = Policy(
        Isolation.SANDBOX, bwrap="/bwrap", network=False, readable=[shown], hidden=[hidden]
    )
    command = confinement(tmp_path, policy).command(COMMAND)
    bound = [command[i + 1] for i, word in enumerate(command) if word == "--bind"]
    assert bound == [str(tmp_path / name) for name in ("tmp", "work", "results", "scratch/private")]
    assert "--unshare-net" in command
    assert command.index(str(shown)) < command.index(str(hidden)) < command.index(bound[1])
    assert command[command.index(str(hidden)) - 1] == "--tmpfs"


def test_users_without_an_account_are_refused() -> None:
    with pytest.raises(NoAccount, match=r"alice has no account here; add one to .* user_map"):
        account_of("alice", user_map={}, run_as="")


def test_code_never_runs_as_root() -> None:
    with pytest.raises(NoAccount, match="must not run as root"):
        account_of("alice", user_map={"alice": "root"}, run_as="nobody")


def test_a_file_is_handed_over(tmp_path: Path) -> None:
    source, target = directories(tmp_path)
    (source / "0.txt").write_text("content")
    hand_over("0.txt", source, target)
    assert (target / "0.txt").read_text() == "content"
    assert (target / "0.txt").stat().st_mode & 0o777 == 0o600
    assert not (source / "0.txt").exists()


def link_to_a_file(path: Path) -> None:
    other = path.with_name("other")
    other.touch()
    path.symlink_to(other)


def name_of_another_file(path: Path) -> None:
    other = path.with_name("other")
    other.touch()
    path.hardlink_to(other)


@pytest.mark.parametrize(
    "make", [link_to_a_file, name_of_another_file, os.mkfifo, Path.mkdir, lambda path: None]
)
def test_nothing_else_is_handed_over(make: Any, tmp_path: Path) -> None:
    source, target = directories(tmp_path)
    make(source / "0.txt")
    with pytest.raises(NotHandedOver):
        hand_over("0.txt", source, target)
    assert list(target.iterdir()) == []


def test_a_directory_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    source, target = directories(tmp_path)
    (source / "0.txt").touch()
    link = tmp_path / "link"
    link.symlink_to(source)
    with pytest.raises(NotHandedOver):
        hand_over("0.txt", link, target)


def directories(tmp_path: Path) -> tuple[Path, Path]:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    return source, target
