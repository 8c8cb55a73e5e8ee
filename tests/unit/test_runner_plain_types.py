"""Which Arrow types stand behind those that a driver gives."""

import pyarrow as pa

from entrance_runner.plain_types import plain

NUMERIC = pa.opaque(pa.string(), "numeric", "PostgreSQL")


def test_an_extension_type_gives_what_it_stores() -> None:
    stored = pa.array(["1.50", None, "NaN"])
    batch = pa.record_batch({"n": pa.ExtensionArray.from_storage(NUMERIC, stored)})
    table = plain(pa.RecordBatchReader.from_batches(batch.schema, [batch])).read_all()
    assert table.schema == pa.schema([pa.field("n", pa.string())])
    assert table.column("n").to_pylist() == ["1.50", None, "NaN"]


def test_a_list_of_an_extension_type_keeps_its_rows() -> None:
    values = pa.ExtensionArray.from_storage(NUMERIC, pa.array(["1", "2", "3"]))
    lists = pa.ListArray.from_arrays(pa.array([0, 2, None, 3], pa.int32()), values)
    batch = pa.record_batch({"l": lists}).slice(1)
    table = plain(pa.RecordBatchReader.from_batches(batch.schema, [batch])).read_all()
    assert table.column("l").to_pylist() == lists.slice(1).cast(table.schema[0].type).to_pylist()


def test_other_types_stay_and_lose_only_the_metadata_of_the_driver() -> None:
    field = pa.field("i", pa.int32(), metadata={"POSTGRESQL:type": "int4"})
    batch = pa.record_batch([pa.array([1], pa.int32())], schema=pa.schema([field]))
    table = plain(pa.RecordBatchReader.from_batches(batch.schema, [batch])).read_all()
    assert table.schema.field("i").metadata is None
    assert table.to_pydict() == {"i": [1]}
