"""An object whose methods wait, with the face of one whose methods are awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

from entrance.client import Client, JobHandle, Result

_END = object()


class InThread:
    """Calls the methods of a client, handle or result in threads."""

    def __init__(self, target: object) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return found
        return lambda *args, **options: _Pending(lambda: found(*args, **options))


class _Pending:
    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result().__await__()

    async def __aiter__(self) -> AsyncIterator[Any]:
        iterator = iter(await asyncio.to_thread(self._call))
        while (item := await asyncio.to_thread(next, iterator, _END)) is not _END:
            yield item

    async def _result(self) -> Any:
        result = await asyncio.to_thread(self._call)
        return InThread(result) if isinstance(result, Client | JobHandle | Result) else result
