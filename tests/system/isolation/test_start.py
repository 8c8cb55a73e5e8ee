"""A server that can't give the level that it was told to give says why, and does not start."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.footprint import Footprint
from tests.support.waiting import PATIENCE
from tests.system.isolation.services import IS_ROOT, Installation, prefix

only_root = pytest.mark.skipif(not IS_ROOT, reason="only root can try this")


@pytest.fixture
def root() -> Iterator[Path]:
    """A directory that every account reaches."""
    with tempfile.TemporaryDirectory(prefix="entrance-test-") as path:
        os.chmod(path, 0o777)
        yield Path(path)


def refusal(root: Path, level: str, *, command: Sequence[str] = (), **settings: str) -> str:
    """What a server says that does not start."""
    variables = {f"ENTRANCE_{name.upper()}": text for name, text in settings.items()}
    done = subprocess.run(
        [*command, sys.executable, "-m", "entrance_server", "--data-dir", root / "data"],
        env={**Footprint(root).environment, "ENTRANCE_ISOLATION": level, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    return done.stderr


def test_other_accounts_need_a_server_of_root(root: Path) -> None:
    plain = prefix(root, Installation("user", as_root=False))
    said = refusal(root, "user", command=plain, run_as="nobody")
    assert "must run as root to run code as other users" in said


@only_root
@pytest.mark.parametrize("level", ["user", "sandbox"])
def test_a_server_of_root_needs_an_account_for_user_code(level: str, root: Path) -> None:
    assert "set run_as, or user_map" in refusal(root, level)


@only_root
def test_user_code_is_not_given_to_root(root: Path) -> None:
    assert "User code must not run as 'root'" in refusal(root, "sandbox", run_as="root")


@only_root
def test_an_account_must_exist(root: Path) -> None:
    said = refusal(root, "sandbox", user_map='{"alice": "nobody-of-this-name"}')
    assert "no account 'nobody-of-this-name'" in said


@only_root
def test_other_accounts_must_reach_the_directories_of_sessions(root: Path) -> None:
    (root / "closed").mkdir(mode=0o700)
    view = prefix(root, Installation("user", as_root=True))
    settings = {"run_as": "nobody", "sessions_dir": str(root / "closed" / "sessions")}
    said = refusal(root, "user", command=view, **settings)
    assert "keeps them out; set sessions_dir" in said


def test_a_sandbox_needs_its_program(root: Path) -> None:
    account = {"run_as": "nobody"} if IS_ROOT else {}
    said = refusal(root, "sandbox", bwrap="/bin/false", **account)
    assert "/bin/false, which does not work here" in said


def test_a_cgroup_that_was_asked_for_must_be_one(root: Path) -> None:
    said = refusal(root, "limits", cgroup=str(root))
    assert "The setting cgroup can't be followed" in said
