"""Turns the protos into Python stubs: when a wheel is built, and by `make protos`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
PUBLIC = Path("entrance/v1")
COMMENTS = "comments.json"  # which Python's descriptors leave out
STUB_PATTERNS = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi", COMMENTS)
PLUGINS = ("mypy", "mypy_grpc")


class StubsHook(BuildHookInterface[Any]):
    """Lays the stubs beside their protos before files are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling for wheels, editable ones included."""
        refresh(Path(self.root, "protos"))


def refresh(protos: Path) -> None:
    """Makes the stubs on disk those of the protos; files that are right already stay untouched."""
    with _generated(protos) as fresh:
        for name in _differences(fresh, protos):
            if (fresh / name).exists():
                shutil.copyfile(fresh / name, protos / name)
            else:
                (protos / name).unlink()


def stale(protos: Path) -> list[Path]:
    """Stubs that are missing, differ from what the protos give now, or have no proto any more."""
    with _generated(protos) as fresh:
        return [protos / name for name in _differences(fresh, protos)]


def write_image(protos: Path, image: Path) -> None:
    """Writes the protos with all that they import, and their comments, as one descriptor set."""
    image.parent.mkdir(parents=True, exist_ok=True)
    _run_protoc(
        protos, "--include_imports", "--include_source_info", f"--descriptor_set_out={image}"
    )


@contextmanager
def _generated(protos: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as out:
        _run_protoc(
            protos,
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            *(f"--plugin=protoc-gen-{name}={_plugin(name)}" for name in PLUGINS),
            *(f"--{name}_out=quiet:{out}" for name in PLUGINS),
        )
        _write_comments(protos, Path(out))
        yield Path(out)


def _write_comments(protos: Path, out: Path) -> None:
    image = out / "image.binpb"
    write_image(protos, image)
    files = FileDescriptorSet.FromString(image.read_bytes()).file
    public = [file for file in files if Path(file.name).parent == PUBLIC]
    found = {name: text for file in public for name, text in comments_of(file)}
    (out / PUBLIC / COMMENTS).write_text(json.dumps(found, ensure_ascii=False, indent=0))


def comments_of(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    """The comment of each service, RPC, message, field and enum value, by its name in full."""
    for location in file.source_code_info.location:
        if location.leading_comments and len(location.path) % 2 == 0:
            lines = (line.strip() for line in location.leading_comments.splitlines())
            yield _name_at(file, location.path), " ".join(lines).strip()


def _name_at(file: FileDescriptorProto, path: Sequence[int]) -> str:
    """What stands at a path of field numbers and indices in turn."""
    part: Any = file
    names = [file.package]
    for number, index in zip(path[::2], path[1::2], strict=True):
        part = getattr(part, part.DESCRIPTOR.fields_by_number[number].name)[index]
        names.append(part.name)
    return ".".join(names)


def _run_protoc(protos: Path, *options: str) -> None:
    includes = (f"--proto_path={path}" for path in (protos, *_included_protos()))
    sources = (path.relative_to(protos).as_posix() for path in sorted(protos.rglob("*.proto")))
    if protoc.main(["protoc", *includes, *options, *sources]) != 0:
        sys.exit("protoc could not read the protos; its message above says where.")


def _included_protos() -> list[Path]:
    """Where google/protobuf and google/api are."""
    annotations = distribution("googleapis-common-protos").locate_file("google/api")
    return [Path(protoc.__file__).parent / "_proto", Path(str(annotations)).parents[1]]


def _plugin(name: str) -> str:
    program = f"protoc-gen-{name}"
    path = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)))
    found = shutil.which(program, path=path)
    if found is None:
        sys.exit(f"{program} is missing; install mypy-protobuf.")
    return found


def _differences(fresh: Path, present: Path) -> list[Path]:
    names = {path.relative_to(root) for root in (fresh, present) for path in _stubs(root)}
    return sorted(name for name in names if _content(fresh / name) != _content(present / name))


def _stubs(root: Path) -> Iterator[Path]:
    for pattern in STUB_PATTERNS:
        yield from root.rglob(pattern)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def main() -> None:
    """What `make` calls."""
    parser = argparse.ArgumentParser(description=__doc__)
    task = parser.add_mutually_exclusive_group()
    task.add_argument("--check", action="store_true", help="write nothing; fail on stale stubs")
    task.add_argument("--image", type=Path, help="write a descriptor set for buf, and no stubs")
    options = parser.parse_args()
    protos = ROOT / "protos"
    if options.image:
        write_image(protos, options.image)
    elif not options.check:
        refresh(protos)
    elif found := stale(protos):
        names = "\n  ".join(str(path.relative_to(ROOT)) for path in found)
        sys.exit(f"Stale stubs; `make protos` refreshes them:\n  {names}")


if __name__ == "__main__":
    main()
