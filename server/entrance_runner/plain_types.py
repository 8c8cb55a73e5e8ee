"""Rows without Arrow's extension types, which few readers know; what is stored stays as it is."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa


def plain(rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """The same rows, with the type behind each extension type and without the fields' metadata."""
    schema = pa.schema([pa.field(one.name, _plain_type(one.type)) for one in rows.schema])

    def batches() -> Iterator[pa.RecordBatch]:
        with rows:
            for batch in rows:
                columns = map(_plain_array, batch.columns)
                yield pa.RecordBatch.from_arrays(list(columns), schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _plain_type(type_: pa.DataType) -> pa.DataType:
    if isinstance(type_, pa.BaseExtensionType):
        return _plain_type(type_.storage_type)
    if pa.types.is_list(type_):
        return pa.list_(_plain_type(type_.value_type))
    return type_


def _plain_array(array: pa.Array) -> pa.Array:
    if isinstance(array, pa.ExtensionArray):
        return _plain_array(array.storage)
    if isinstance(array, pa.ListArray):
        values = _plain_array(array.values)
        return pa.Array.from_buffers(
            pa.list_(values.type),
            len(array),
            array.buffers()[:2],
            null_count=array.null_count,
            offset=array.offset,
            children=[values],
        )
    return array
