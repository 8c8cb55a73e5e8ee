"""Shapes a followed log into messages: small chunks are merged, large ones cut at a line's end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from entrance.v1 import entrance_pb2 as pb
from entrance_server.logs.levels import LogChunk
from entrance_server.rpc import enums
from entrance_server.service.views import LogBatch

MESSAGE_BYTES: Final = 256 * 1024  # text in one message; a single longer line still goes whole


def messages(batch: LogBatch, *, limit: int = MESSAGE_BYTES) -> Iterator[pb.StreamLogResponse]:
    """The messages of a batch. Only the last one carries its `next_line` and final status."""
    pending: list[LogChunk] = []
    size = 0
    pieces = (piece for chunk in batch.chunks for piece in _pieces(chunk, limit))
    for chunk in pieces:
        if pending and size + len(chunk.text) > limit:
            yield pb.StreamLogResponse(chunks=_merged(pending), next_line=chunk.from_line)
            pending, size = [], 0
        pending.append(chunk)
        size += len(chunk.text)
    yield pb.StreamLogResponse(
        chunks=_merged(pending),
        next_line=batch.next_line,
        status=enums.STATUS_TO_PROTO[batch.final.status]
        if batch.final
        else pb.JOB_STATUS_UNSPECIFIED,
    )


def _pieces(chunk: LogChunk, limit: int) -> Iterator[LogChunk]:
    if len(chunk.text) <= limit:
        yield chunk
        return
    start, line = 0, chunk.from_line
    while start < len(chunk.text):
        end = _line_end(chunk.text, start, limit)
        text = chunk.text[start:end]
        lines = text.count(b"\n")
        yield replace(chunk, from_line=line, line_count=lines, text=text)
        start, line = end, line + lines


def _line_end(text: bytes, start: int, limit: int) -> int:
    """The end of the last line that fits, or of the first where none does."""
    last = text.rfind(b"\n", start, start + limit)
    return (last if last >= 0 else text.index(b"\n", start)) + 1


def _merged(chunks: Iterable[LogChunk]) -> Iterator[pb.LogChunk]:
    run: list[LogChunk] = []
    for chunk in chunks:
        if run and not _continues(run[-1], chunk):
            yield _chunk(run)
            run = []
        run.append(chunk)
    if run:
        yield _chunk(run)


def _continues(before: LogChunk, chunk: LogChunk) -> bool:
    return chunk.level == before.level and chunk.from_line == before.from_line + before.line_count


def _chunk(run: Sequence[LogChunk]) -> pb.LogChunk:
    return pb.LogChunk(
        from_line=run[0].from_line,
        line_count=sum(chunk.line_count for chunk in run),
        level=enums.LEVEL_TO_PROTO[run[0].level],
        text=b"".join(chunk.text for chunk in run).decode("utf-8", "replace"),
    )
