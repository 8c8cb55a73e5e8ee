"""Starts the gateway alone: `python -m entrance_gateway`."""

from __future__ import annotations

import asyncio
import sys

from pydantic import ValidationError

from entrance_gateway.config import GatewaySettings
from entrance_gateway.run import serve


def main() -> None:
    """Serves until a signal ends it; says in a line what keeps it from starting."""
    try:
        asyncio.run(serve(GatewaySettings()))
    except (OSError, ValidationError) as error:
        sys.exit(f"The gateway can't start: {error}")


if __name__ == "__main__":
    main()
