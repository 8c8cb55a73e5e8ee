"""A cgroup ends a session's processes whatever they did to get away."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrance_server.engines.cgroups import Cgroups, GroupLimits
from tests.support.waiting import PATIENCE

MOUNTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


@pytest.fixture
def base() -> Iterator[Path]:
    """A cgroup below which there can be others."""
    mount = next((path for path in MOUNTS if (path / "cgroup.procs").exists()), None)
    if mount is None or not os.access(mount, os.W_OK) or os.geteuid() != 0:
        pytest.skip("no cgroup of version 2 can be made here")
    path = mount / f"entrance-test-{secrets.token_hex(4)}"
    try:
        path.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup of version 2 can be made here: {error}")
    yield path
    path.rmdir()


def test_all_in_a_session_s_cgroup_ends_with_it(base: Path) -> None:
    group = base / "entrance-session"
    inner = group / "made-by-a-job"
    inner.mkdir(parents=True)
    sleepers = [subprocess.Popen(["sleep", "1000"], start_new_session=True) for _ in range(2)]
    for sleeper, path in zip(sleepers, (group, inner), strict=True):
        (path / "cgroup.procs").write_text(str(sleeper.pid))
    Cgroups(base, GroupLimits(0, 0, 0)).end("session")
    assert [sleeper.wait(PATIENCE) for sleeper in sleepers] == [-9, -9]
    assert not group.exists()
