"""`python -m entrance_gateway`: runs one gateway."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

import uvloop
from pydantic import ValidationError
from pydantic_settings import SettingsError

from entrance import garbage, service_log, variables
from entrance.memory import hide_memory
from entrance_gateway.config import PREFIX, GatewaySettings
from entrance_gateway.run import serve
from entrance_gateway.tls import ProtectionError


def main() -> int:
    """Runs a gateway until it is told to stop; 1 tells that it could not start."""
    options = _parser().parse_args()
    given = {name: value for name, value in vars(options).items() if value is not None}
    ready_file: Path | None = given.pop("ready_file", None)
    service_log.configure()
    hide_memory()  # callers' credentials pass through it

    def ready(port: int) -> None:
        if ready_file is not None:
            _write(ready_file, {"port": port, "tls": settings.tls_cert is not None})

    try:
        settings = GatewaySettings(**given)
        garbage.collect_less()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, ready=ready))
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(("entrance_gateway", *map(str, problem["loc"]))).upper()
            print(f"entrance gateway: {name}: {problem['msg']}", file=sys.stderr)
        return 1
    except SettingsError as error:
        print(f"entrance gateway: {variables.sentence(error, PREFIX)}", file=sys.stderr)
        return 1
    except ProtectionError as error:
        print(f"entrance gateway: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"entrance gateway: it can't listen: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="entrance gateway", description="Runs a gateway, which puts REST before a server."
    )
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="HTTP port; 0 takes a free one")
    parser.add_argument(
        "--server-target", help="gRPC target of the server, or of several with commas"
    )
    parser.add_argument("--tls-cert", type=Path, help="certificate for HTTPS, as PEM")
    parser.add_argument("--tls-key", type=Path, help="its key")
    parser.add_argument(
        "--server-tls",
        action="store_true",
        default=None,
        help="call the server by TLS, trusting the system's authorities",
    )
    parser.add_argument(
        "--server-tls-ca", type=Path, help="call it by TLS, trusting these authorities alone"
    )
    parser.add_argument("--server-tls-cert", type=Path, help="the gateway's own certificate")
    parser.add_argument("--server-tls-key", type=Path, help="its key")
    parser.add_argument(
        "--insecure",
        dest="allow_insecure",
        action="store_true",
        default=None,
        help="listen beyond this machine, or call a server there, without TLS",
    )
    parser.add_argument("--ready-file", type=Path, help="written once requests are taken")
    return parser


def _write(path: Path, told: object) -> None:
    """Puts the whole file in its place at once."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(told))
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
