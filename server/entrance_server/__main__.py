"""`python -m entrance_server`: runs one server."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

import uvloop

from entrance import garbage, service_log
from entrance_server.app import serve
from entrance_server.config import ConfigError, read_settings
from entrance_server.data_dir import DataDirError
from entrance_server.rpc.listen import ListenError
from entrance_server.store.port import StoreUnavailable
from entrance_server.wiring.base import StartError

REJOINS = "--rejoins"  # said by a server that lost its lease to the one that it becomes


def main() -> int:
    """Runs a server until it is told to stop; 1 tells that it could not start."""
    options = _parser().parse_args()
    given = {name: value for name, value in vars(options).items() if value is not None}
    ready_file = given.pop("ready_file", None)
    rejoins = given.pop("rejoins")
    try:
        settings = read_settings(given.pop("config", None), **given)
        service_log.configure(settings.log_level)
        garbage.collect_less()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, ready_file=ready_file, restart=_restart, rejoins=rejoins))
    except (ConfigError, StartError, ListenError, DataDirError, StoreUnavailable) as error:
        print(f"entrance server: {error}", file=sys.stderr)
        return 1
    return 0


def _restart(port: int) -> None:
    """Puts a new program in place of this one: not a thread, not a task of it goes on."""
    told = [REJOINS, f"--port={port}"]
    command = [sys.executable, *sys.orig_argv[1:]]
    os.execv(sys.executable, [*(word for word in command if word not in told), *told])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="entrance server", description="Runs an Entrance server.")
    parser.add_argument("--config", type=Path, help="TOML file of settings, else $ENTRANCE_CONFIG")
    parser.add_argument("--data-dir", type=Path, help="database, logs, results and token")
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="gRPC port; 0 takes a free one")
    parser.add_argument("--tls-cert", type=Path, help="the server's certificate, as PEM")
    parser.add_argument("--tls-key", type=Path, help="its key")
    parser.add_argument(
        "--tls-client-ca", type=Path, help="authorities that callers must be certified by"
    )
    parser.add_argument(
        "--insecure",
        dest="allow_insecure",
        action="store_true",
        default=None,
        help="listen beyond this machine without TLS",
    )
    parser.add_argument(
        "--local-socket", type=Path, help="Unix socket for calls of the server's own user"
    )
    parser.add_argument(REJOINS, dest="rejoins", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--ready-file", type=Path, help="written once calls are answered")
    return parser


if __name__ == "__main__":
    sys.exit(main())
