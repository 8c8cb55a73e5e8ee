"""`python -m entrance_runner --address unix:/path`: one runner, until its session ends."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from entrance.memory import hide_memory
from entrance_runner import guard

ORPHAN_TIMEOUT = 600.0  # seconds
SOCKET = "unix:"
PORTS = ("ipv4:", "ipv6:")


def main() -> int:
    """Reads the command line and serves, in a process that another one guards.

    Returns:
        The exit status.
    """
    arguments = _arguments()
    if arguments.isolation or arguments.address.startswith(PORTS):
        hide_memory()
    with _socket_removed(arguments.address), _made(arguments.scratch) as scratch:
        status = guard.run(
            lambda: _serve(
                arguments.address, scratch, arguments.orphan_timeout, arguments.isolation
            )
        )
    return guard.exit_like(status)


def _serve(address: str, scratch: Path, orphan_timeout: float, isolation: Path | None) -> None:
    from entrance_runner import starter_process  # here and below, to keep the guard small

    with starter_process.forked() as (control, pid):  # before this process grows, and has threads
        import asyncio
        import logging

        from entrance_runner import server
        from entrance_runner.endpoint import endpoint_of
        from entrance_runner.isolation import Policy
        from entrance_runner.starter import Starter

        logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
        asyncio.run(
            server.serve(
                endpoint_of(address),
                starter=Starter(control, pid),
                scratch=scratch,
                orphan_timeout=orphan_timeout,
                policy=Policy.read(isolation) if isolation else Policy(),
                directory=isolation.parent if isolation else Path.cwd(),
            )
        )


@contextlib.contextmanager
def _socket_removed(address: str) -> Iterator[None]:
    try:
        yield
    finally:
        if address.startswith(SOCKET):
            Path(address.removeprefix(SOCKET)).unlink(missing_ok=True)


@contextlib.contextmanager
def _made(scratch: Path | None) -> Iterator[Path]:
    if scratch is None:
        import tempfile  # here and below, to keep what is forked meanwhile small

        scratch = Path(tempfile.mkdtemp(prefix="entrance-"))
    else:
        scratch.mkdir(mode=0o700)
    try:
        yield scratch
    finally:
        import shutil

        shutil.rmtree(scratch, ignore_errors=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m entrance_runner", description=__doc__)
    parser.add_argument(
        "--address",
        required=True,
        help="where to listen: the socket unix:/path, or ipv4:host:port, which is printed with the "
        "port it got; then the first line of standard input has the credentials as JSON, and its "
        "end is the runner's",
    )
    parser.add_argument(
        "--orphan-timeout",
        type=float,
        default=ORPHAN_TIMEOUT,
        metavar="SECONDS",
        help="end when no server has called for so long (default %(default)s)",
    )
    parser.add_argument(
        "--scratch",
        type=Path,
        metavar="DIRECTORY",
        help="where to keep files of its own; made, and removed at the end (default a new one)",
    )
    parser.add_argument(
        "--isolation",
        type=Path,
        metavar="FILE",
        help="how user code is kept, as JSON, in the session's own directory (default not at all)",
    )
    arguments = parser.parse_args()
    if not arguments.address.startswith((f"{SOCKET}/", *PORTS)):
        parser.error(
            "--address must be unix: and an absolute path, or ipv4: or ipv6: and a host with a "
            f"port, not {arguments.address!r}"
        )
    return arguments


if __name__ == "__main__":
    sys.exit(main())
