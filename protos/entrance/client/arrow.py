"""Record batches out of an Arrow IPC stream that arrives in pieces."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow

_PREFIX_BYTES = 8  # a marker and the length of the metadata, four bytes each
_SCHEMA = 1
_RECORD_BATCH = 3
_TYPE_FIELD, _BODY_LENGTH_FIELD = 1, 3  # of the Message table in Arrow's Message.fbs


class BatchDecoder:
    """Takes pieces of a stream and gives each batch as soon as all of it is there.

    It holds at most one batch and one piece. `schema` is None until its message is whole.
    """

    def __init__(self) -> None:
        self.schema: pyarrow.Schema | None = None
        self.ended = False
        self._input = _Input()
        self._scanned = 0
        self._reader: pyarrow.RecordBatchStreamReader | None = None

    def feed(self, piece: bytes) -> Iterator[pyarrow.RecordBatch]:
        """Adds a piece; gives the batches that it completes."""
        self._input.waiting += piece
        while not self.ended and (message := self._next_message()):
            kind, size = message
            self._scanned += size
            if kind == _SCHEMA:
                self._open()
            elif kind == _RECORD_BATCH and self._reader is not None:
                yield self._reader.read_next_batch()
                self._scanned = 0

    def _open(self) -> None:
        import pyarrow

        self._reader = pyarrow.ipc.open_stream(self._input)
        self.schema = self._reader.schema
        self._scanned = 0

    def _next_message(self) -> tuple[int, int] | None:
        """Type and bytes of the next message; None until it is whole."""
        waiting, start = self._input.waiting, self._scanned
        if len(waiting) < start + _PREFIX_BYTES:
            return None
        (metadata_size,) = struct.unpack_from("<i", waiting, start + 4)
        if metadata_size == 0:
            self.ended = True
            return None
        body_start = start + _PREFIX_BYTES + metadata_size
        if len(waiting) < body_start:
            return None
        kind, body_size = _describe(bytes(waiting[start + _PREFIX_BYTES : body_start]))
        end = body_start + body_size
        return (kind, end - start) if len(waiting) >= end else None


def _describe(metadata: bytes) -> tuple[int, int]:
    """Type and body length out of a message's metadata, a flatbuffer."""
    (table,) = struct.unpack_from("<I", metadata)
    (back,) = struct.unpack_from("<i", metadata, table)
    vtable = table - back
    (vtable_size,) = struct.unpack_from("<H", metadata, vtable)

    def value(field: int, layout: str) -> int:
        slot = 4 + 2 * field
        (offset,) = (
            struct.unpack_from("<H", metadata, vtable + slot) if slot < vtable_size else (0,)
        )
        return int(struct.unpack_from(layout, metadata, table + offset)[0]) if offset else 0

    return value(_TYPE_FIELD, "<B"), value(_BODY_LENGTH_FIELD, "<q")


class _Input(io.RawIOBase):
    """What pyarrow reads from: the bytes that have come and were not read yet."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = bytearray()

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        count = min(len(target), len(self.waiting))
        target[:count] = self.waiting[:count]
        del self.waiting[:count]
        return count
