"""What became of a transaction whose commit was not answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, Engine, exc

INTERVAL: Final = 0.2  # seconds


def was_committed(
    engine: Engine, outcome: Callable[[Connection], bool | None], *, goes_on: Callable[[], bool]
) -> bool:
    """Asks until it knows, since a commit that was not answered may be one all the same. Blocks.

    Args:
        engine: Where to ask.
        outcome: Asks once; None while the transaction is open.
        goes_on: Whether to ask once more; where not, it counts as not committed.
    """
    while goes_on():
        try:
            with engine.connect() as connection:
                if (answer := outcome(connection)) is not None:
                    return answer
        except exc.SQLAlchemyError:
            engine.dispose()
        time.sleep(INTERVAL)
    return False
