"""Tables as CSV. Everything here blocks.

It is for programs: UTF-8 without a byte order mark, lines ended by CR LF, and cells as they are.
What a spreadsheet would take for a formula stays as it is too, since a mark before it would change
the data; a workbook has text that is never a formula.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from entrance_server.results.cells import texts


def pieces(
    batches: Iterable[pa.RecordBatch], header: Sequence[str], *, separator: str, null: str
) -> Iterator[bytes]:
    """The rows of batches below a header."""
    yield _lines([header], separator)
    for batch in batches:
        yield _lines(_rows(batch, null), separator)


def _rows(batch: pa.RecordBatch, null: str) -> Sequence[Sequence[str]]:
    columns = [
        [null if cell is None else cell for cell in texts(column)] for column in batch.columns
    ]
    return list(zip(*columns, strict=True))


def _lines(rows: Sequence[Sequence[str]], separator: str) -> bytes:
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=separator).writerows(rows)
    return written.getvalue().encode()
