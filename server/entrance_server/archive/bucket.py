"""The objects of an installation, below a prefix of a bucket. Needs the extra `s3`."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from entrance_server.archive.errors import BucketRefused, BucketUnavailable, ObjectMissing
from entrance_server.archive.place import Place

PIECE = 8 * 1024 * 1024  # bytes of a request
PIECES_AT_ONCE = 2  # of one file on its way up
CONNECT_TIMEOUT = timedelta(seconds=5)
REQUEST_TIMEOUT = timedelta(seconds=60)
RETRIES = 3
RETRIED_WITHIN = timedelta(seconds=30)
REMOVED_AT_ONCE = 1_000

_CODE = re.compile(r"<Code>(\w+)</Code>")
_DENIALS = (PermissionDeniedError, UnauthenticatedError)
_DENIED = frozenset({"AccessDenied", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"})
_NO_BUCKET = frozenset({"NoSuchBucket", "InvalidBucketName"})


class Bucket:
    """The objects of an installation. An object is there whole or not at all.

    Every method raises BucketUnavailable when object storage does not do what it is asked.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._store = S3Store(
            place.bucket,
            prefix=place.prefix or None,
            client_options={
                "allow_http": place.endpoint.startswith("http://"),
                "connect_timeout": CONNECT_TIMEOUT,
                "timeout": REQUEST_TIMEOUT,
            },
            retry_config={"max_retries": RETRIES, "retry_timeout": RETRIED_WITHIN},
            **place.options(),
        )

    async def check(self) -> None:
        """Looks for an object, writes it and removes it.

        Raises:
            BucketRefused: the bucket is missing, or the credentials are wrong or not enough.
        """
        name = f"check-{secrets.token_hex(8)}"
        with self._failures_told():
            async for _ in self._store.list(name):  # some services make a bucket to write into
                pass
            await self._store.put_async(name, b"")
            await self._store.delete_async(name)

    async def put(self, name: str, file: Path) -> None:
        """Makes or replaces an object.

        Raises:
            OSError: the file can't be read.
        """
        await asyncio.to_thread(file.stat)  # an error of the file's own is told as it is
        with self._failures_told():
            await self._store.put_async(
                name, file, chunk_size=PIECE, max_concurrency=PIECES_AT_ONCE
            )

    async def read(self, name: str, size: int) -> AsyncIterator[memoryview]:
        """The content of an object in pieces.

        Raises:
            ObjectMissing: it is not there, or not so long.
        """
        for start in range(0, size, PIECE):
            length = min(PIECE, size - start)
            try:
                with self._failures_told():
                    piece = await self._store.get_range_async(name, start=start, length=length)
            except FileNotFoundError:
                raise ObjectMissing(f"{name} is not in {self._place}") from None
            if len(piece) != length:
                raise ObjectMissing(f"{name} has not {size} bytes in {self._place}")
            yield memoryview(piece)

    async def remove(self, folder: str) -> None:
        """Removes every object below a name."""
        with self._failures_told():
            async for batch in self._store.list(f"{folder}/", chunk_size=REMOVED_AT_ONCE):
                await self._store.delete_async([one["path"] for one in batch])

    @contextlib.contextmanager
    def _failures_told(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            code = _code(error)
            if code in _NO_BUCKET:
                raise BucketRefused(
                    f"There is no bucket {self._place.bucket} at {self._place.host}; make it, or "
                    "change archive_url."
                ) from None
            if code in _DENIED or isinstance(error, _DENIALS):
                raise BucketRefused(
                    f"{self._place} refuses the credentials ({_told(error)}); give others in "
                    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or in the settings archive_*, or "
                    "let these read, write, list and delete there."
                ) from None
            if isinstance(error, FileNotFoundError):
                raise
            raise BucketUnavailable(f"{self._place} does not answer: {_told(error)}") from None


def _code(error: Exception) -> str:
    found = _CODE.search(str(error))
    return found[1] if found else ""


def _told(error: Exception) -> str:
    """The error in a word, or in a line: what follows may be long."""
    return _code(error) or str(error).partition("\n")[0]
