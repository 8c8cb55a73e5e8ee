"""Where sessions can have cgroups, and what is written there."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrance_server.engines.cgroups import Cgroups, GroupLimits, NoCgroups, usable_base

ALL = "cpu io memory pids"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files as of a process in the cgroup /service/server, in a hierarchy of their own."""
    mount = tmp_path / "cgroup"
    (tmp_path / "cgroup-of-self").mkdir()
    line = f"30 24 0:26 / {mount} rw,nosuid - cgroup2 cgroup2 rw\n"
    (tmp_path / "cgroup-of-self" / "mountinfo").write_text(line)
    (tmp_path / "cgroup-of-self" / "cgroup").write_text("0::/service/server\n")
    for name in (".", "service", "service/server"):
        group(mount / name, controllers="cpu")
    return tmp_path


def group(path: Path, *, controllers: str, given: str = "") -> Path:
    path.mkdir(exist_ok=True)
    (path / "cgroup.controllers").write_text(controllers)
    (path / "cgroup.subtree_control").write_text(given)
    (path / "cgroup.procs").touch()
    return path


def test_the_cgroup_around_the_server_is_found(tree: Path) -> None:
    service = group(tree / "cgroup/service", controllers=ALL, given=ALL)
    assert usable_base(None, proc=tree / "cgroup-of-self") == service


def test_controllers_are_switched_on_for_sessions(tree: Path) -> None:
    server = group(tree / "cgroup/service/server", controllers=ALL)
    assert usable_base(None, proc=tree / "cgroup-of-self") == server
    assert (server / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_a_cgroup_without_controllers_is_refused_with_those_that_it_lacks(tree: Path) -> None:
    with pytest.raises(NoCgroups, match=r"service/server has no controllers memory, pids"):
        usable_base(None, proc=tree / "cgroup-of-self")


def test_a_configured_cgroup_is_the_only_one_that_is_tried(tree: Path) -> None:
    group(tree / "cgroup/service", controllers=ALL, given=ALL)
    with pytest.raises(NoCgroups, match=r"elsewhere is no cgroup"):
        usable_base(tree / "elsewhere", proc=tree / "cgroup-of-self")


def test_a_machine_without_cgroups_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoCgroups, match=r"version 2 is not mounted"):
        usable_base(None, proc=tmp_path)


def test_a_session_has_its_limits(tmp_path: Path) -> None:
    made = Cgroups(tmp_path, GroupLimits(memory=1024, processes=10, cores=1.5)).make("session")
    assert (made / "memory.max").read_text() == "1024"
    assert (made / "pids.max").read_text() == "10"
    assert (made / "cpu.max").read_text() == "150000 100000"


def test_no_limit_is_written_as_max(tmp_path: Path) -> None:
    made = Cgroups(tmp_path, GroupLimits(memory=0, processes=0, cores=0)).make("session")
    assert (made / "memory.max").read_text() == "max"
    assert (made / "pids.max").read_text() == "max"
    assert (made / "cpu.max").read_text() == "max 100000"
