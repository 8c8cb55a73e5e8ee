"""`python -m entrance_runner --address unix:/path`: one runner, until its session ends."""

from __future__ import annotations

import argparse
import asyncio
import logging

from entrance_runner import server

ORPHAN_TIMEOUT = 600.0  # seconds


def main() -> None:
    """Reads the command line and serves."""
    parser = argparse.ArgumentParser(prog="python -m entrance_runner", description=__doc__)
    parser.add_argument("--address", required=True, help="the socket to listen on, unix:/path")
    parser.add_argument(
        "--orphan-timeout",
        type=float,
        default=ORPHAN_TIMEOUT,
        metavar="SECONDS",
        help="end when no server has called for so long (default %(default)s)",
    )
    arguments = parser.parse_args()
    if not arguments.address.startswith("unix:/"):
        parser.error(f"--address must be unix:/ and an absolute path, not {arguments.address!r}")
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(server.serve(arguments.address, orphan_timeout=arguments.orphan_timeout))


if __name__ == "__main__":
    main()
