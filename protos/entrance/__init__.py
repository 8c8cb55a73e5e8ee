"""Entrance for callers: the typed client, its answers and its errors.

    import entrance

    with entrance.Client.connect() as client:
        job = client.submit("select 42 as answer", engine="duckdb")
        print(job.result().to_arrow())

The names are those of `entrance.client`. They are loaded when one is first used, so that
`import entrance` alone costs nothing, nor does `from entrance import` one of its modules.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from entrance.client import *  # noqa: F403
else:

    def __getattr__(name):
        if name[:1].isupper():  # as all of them are, and no module is
            client = importlib.import_module("entrance.client")
            if name in client.__all__:
                return getattr(client, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
