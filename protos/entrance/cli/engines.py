"""`entrance engines`."""

from __future__ import annotations

from entrance.cli.invocation import Invocation


def engines(invocation: Invocation) -> None:
    """List the engines with their run types."""
    from entrance.cli import shapes

    with invocation.client() as client:
        found = client.engines()
    output = invocation.output
    if output.json:
        for engine in found:
            output.object(shapes.engine(engine))
        return
    output.table(
        ["ENGINE", "RUN TYPES", "VERSION", "DESCRIPTION"],
        [
            [engine.engine_type, ", ".join(engine.run_types), engine.version, engine.description]
            for engine in found
        ],
    )
