"""What is installed, and what an import or a build brings along."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import hatch_build
from entrance_server.wiring.base import LATE_LIBRARIES

ROOT = Path(hatch_build.__file__).parent
STUBS = {
    f"{proto.relative_to(ROOT / 'protos').with_suffix('')}{ending}"
    for proto in (ROOT / "protos").rglob("*.proto")
    for ending in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")
}
COMMENTS = "entrance/v1/comments.json"
PACKAGES = ("entrance", "entrance_gateway", "entrance_runner", "entrance_server")


def run(*command: str | os.PathLike[str]) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result


def modules_imported_by(code: str, *arguments: str) -> set[str]:
    """The names that a fresh interpreter imports while it runs the code."""
    report = run(sys.executable, "-X", "importtime", "-c", code, *arguments).stderr
    return {line.rpartition("|")[2].strip() for line in report.splitlines()}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def files_of_the_wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """A wheel is built from the source distribution, as an installer would."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder)
    (sdist,) = folder.glob("*.tar.gz")
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    run(sys.executable, "-m", "pip", "wheel", *offline, "-w", folder, sdist)
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_import_entrance_brings_in_nothing_heavy() -> None:
    heavy = {"grpc", "google.protobuf", "pyarrow", "typer", "rich", "starlette", "entrance_server"}
    assert not modules_imported_by("import entrance") & heavy


@pytest.mark.parametrize("package", ["entrance_server", "entrance_gateway"])
def test_no_service_loads_the_typed_client(package: str) -> None:
    imported = modules_imported_by(f"import {package}.__main__")
    assert "entrance.memory" in imported
    assert not {name for name in imported if name.startswith("entrance.client")}


def test_the_server_starts_without_what_it_may_never_need() -> None:
    imported = modules_imported_by("import entrance_server.__main__")
    assert "entrance_server.results.files" in imported
    assert not imported & {*LATE_LIBRARIES, "numpy", "ray"}


@pytest.mark.parametrize("library", LATE_LIBRARIES)
def test_what_the_server_would_miss_later_it_misses_at_its_start(
    library: str, tmp_path: Path
) -> None:
    without = f"import sys; sys.modules[{library!r}] = None"
    code = f"{without}; from entrance_server.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "--data-dir", str(tmp_path), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"the module {library} is missing: pip install" in done.stderr


def test_the_help_page_needs_no_server() -> None:
    imported = modules_imported_by("from entrance.cli import main; main()", "--help")
    assert "typer" in imported
    assert not imported & {"entrance_server", "entrance_gateway", "entrance_runner"}


def test_the_wheel_holds_every_stub_with_its_types(files_of_the_wheel: set[str]) -> None:
    assert files_of_the_wheel >= STUBS


def test_the_wheel_holds_the_comments_of_the_public_api(files_of_the_wheel: set[str]) -> None:
    assert COMMENTS in files_of_the_wheel


def test_every_part_of_the_public_api_has_its_comment() -> None:
    comments = json.loads((ROOT / "protos" / COMMENTS).read_text())
    assert comments["entrance.v1.Job.task_id"] == "The job's number, unique in the installation."
    assert comments["entrance.v1.JobStatus.JOB_STATUS_SUCCEED"] == "Ended well."
    assert comments["entrance.v1.EntranceService.Log"].startswith("Reads lines of a job's log")
    assert all(comments.values())


def test_the_wheel_says_that_every_package_is_typed(files_of_the_wheel: set[str]) -> None:
    assert files_of_the_wheel >= {f"{name}/py.typed" for name in PACKAGES}


def test_the_wheel_puts_nothing_else_into_site_packages(files_of_the_wheel: set[str]) -> None:
    top = {name.partition("/")[0] for name in files_of_the_wheel}
    assert top == {*PACKAGES, "entrance-0.1.0.dist-info"}


def test_a_stub_that_does_not_fit_its_proto_is_found_and_mended(tmp_path: Path) -> None:
    protos = tmp_path / "protos"
    shutil.copytree(ROOT / "protos", protos)
    stub = protos / "entrance/v1/entrance_pb2.pyi"
    orphan = protos / "entrance/v1/gone_pb2.py"
    stub.write_text("")
    orphan.touch()
    assert hatch_build.stale(protos) == [stub, orphan]

    hatch_build.refresh(protos)
    assert hatch_build.stale(protos) == []
    assert not orphan.exists()


def test_the_lock_holds_the_tools_of_the_build(project: dict[str, Any]) -> None:
    assert {*project["build-system"]["requires"]} <= {*project["dependency-groups"]["build"]}
