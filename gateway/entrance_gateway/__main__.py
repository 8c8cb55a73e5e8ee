"""`python -m entrance_gateway`: runs one gateway."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

import structlog
from pydantic import ValidationError

from entrance_gateway.config import GatewaySettings
from entrance_gateway.run import serve


def main() -> int:
    """Runs a gateway until it is told to stop; 1 tells that it could not start."""
    options = _parser().parse_args()
    given = {name: value for name, value in vars(options).items() if value is not None}
    ready_file: Path | None = given.pop("ready_file", None)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

    def ready(port: int) -> None:
        if ready_file is not None:
            _write(ready_file, {"port": port})

    try:
        asyncio.run(serve(GatewaySettings(**given), ready=ready))
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(("entrance_gateway", *map(str, problem["loc"]))).upper()
            print(f"entrance gateway: {name}: {problem['msg']}", file=sys.stderr)
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
    parser.add_argument("--server-target", help="gRPC target of the server")
    parser.add_argument("--ready-file", type=Path, help="written once requests are taken")
    return parser


def _write(path: Path, told: object) -> None:
    """Puts the whole file in its place at once."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(told))
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
