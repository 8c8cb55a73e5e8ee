"""The server's directories, and the secrets that servers share in one."""

from __future__ import annotations

import shutil
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from entrance_server import data_dir


def test_servers_that_start_at_once_have_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as servers:
        keys = set(servers.map(data_dir.cluster_key, [tmp_path / "shared"] * 32))
    assert len(keys) == 1
    (file,) = (tmp_path / "shared").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_key_that_is_there_is_kept(tmp_path: Path) -> None:
    first = data_dir.cluster_key(tmp_path)
    assert data_dir.cluster_key(tmp_path) == first


def test_a_key_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / data_dir.CLUSTER_KEY_FILE).mkdir()
    with pytest.raises(
        data_dir.DataDirError, match="the same shared_dir, and run as the same user"
    ):
        data_dir.cluster_key(tmp_path)


def test_a_shared_directory_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(data_dir.DataDirError, match="choose another shared_dir"):
        data_dir.made(tmp_path / "file" / "shared")


def test_sockets_are_in_the_directory_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TemporaryDirectory() as base:
        monkeypatch.setenv("XDG_RUNTIME_DIR", base)
        with data_dir.runtime_dir(tmp_path) as directory:
            assert directory.parent == Path(base)
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert not directory.exists()


def test_sockets_are_elsewhere_where_that_has_a_path_too_long_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("long" * 20)))
    with data_dir.runtime_dir(tmp_path) as directory, socket.socket(socket.AF_UNIX) as listener:
        below = directory / "0123456789abcdef.d" / "private"
        below.mkdir(parents=True)
        listener.bind(str(below / "kernel-5"))
        shutil.rmtree(directory / "0123456789abcdef.d")
    assert not directory.exists()


@pytest.mark.parametrize("left", [None, "", "\n"])
def test_an_instance_has_the_name_of_its_first_start_that_is_kept(
    tmp_path: Path, left: str | None
) -> None:
    if left is not None:
        (tmp_path / "instance").write_text(left)
    first = data_dir.instance_name(tmp_path, "", 9104)
    assert first.endswith(":9104")
    assert data_dir.instance_name(tmp_path, "", 9999) == first
