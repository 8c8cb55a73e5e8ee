"""An Arrow stream in pieces of every size gives the batches that it was made of."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest

from entrance.client.arrow import BatchDecoder

BATCHES = [
    pa.record_batch(
        {
            "n": pa.array([1, None, 3], pa.int64()),
            "name": pa.array(["a", "b", "a"]).dictionary_encode(),
            "tags": pa.array([["x"], [], None], pa.list_(pa.string())),
        }
    )
] * 3


def stream(batches: list[pa.RecordBatch], schema: pa.Schema) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()


DATA = stream(BATCHES, BATCHES[0].schema)


@pytest.mark.parametrize("size", [1, 3, 8, 100, len(DATA)])
def test_pieces_of_any_size_give_the_same_batches(size: int) -> None:
    decoder = BatchDecoder()
    pieces = (DATA[i : i + size] for i in range(0, len(DATA), size))

    found = [batch for piece in pieces for batch in decoder.feed(piece)]

    assert [batch.to_pylist() for batch in found] == [batch.to_pylist() for batch in BATCHES]
    assert decoder.ended


def test_a_batch_is_given_as_soon_as_it_is_whole() -> None:
    decoder = BatchDecoder()
    counts = [len(list(decoder.feed(DATA[i : i + 1]))) for i in range(len(DATA))]
    ends = [position for position, count in enumerate(counts, 1) if count]

    assert len(ends) == 3
    assert ends[1] - ends[0] == ends[2] - ends[1] < ends[0]
    assert ends[2] == len(DATA) - 8  # the end of the stream is all that follows


def test_a_table_without_rows_has_its_schema() -> None:
    decoder = BatchDecoder()

    assert list(decoder.feed(stream([], BATCHES[0].schema))) == []
    assert decoder.schema == BATCHES[0].schema
    assert decoder.ended


def test_a_stream_without_its_end_has_not_ended() -> None:
    decoder = BatchDecoder()
    list(decoder.feed(DATA[:-8]))

    assert not decoder.ended
