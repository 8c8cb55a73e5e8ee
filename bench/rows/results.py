"""Results: a large table streamed, and a page deep inside it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import grpc
import httpx
import pyarrow.parquet

from bench import processes
from bench.figures import Figure, Series, Target
from bench.processes import Service
from bench.rounds import alternate, milliseconds
from entrance.client import Client
from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import entrance_pb2_grpc

ROWS = 10_000_000
PAGE = 5_000
PAGES = 20
MIB = 1024 * 1024
OPTIONS = [("grpc.max_receive_message_length", 64 * MIB)]
QUERY = f"""\
--set ide.engine.no.limit.allow=true
SELECT range AS id, range * 2 AS twice FROM range({ROWS})
"""

Metadata = tuple[tuple[str, str], ...]


def streamed(rounds: int) -> Sequence[Figure]:
    """Megabytes per second of a table as Arrow."""
    with _table() as (service, task_id), tempfile.TemporaryDirectory() as name:
        file = Path(name) / "table.arrow"
        messages = list(_messages(service.target, task_id, service.metadata))
        file.write_bytes(b"".join(messages))
        piece, size = max(map(len, messages)), file.stat().st_size / 1e6
        del messages
        with processes.reference(
            "bench.references.memory", "--file", str(file), "--piece", str(piece)
        ) as port:
            ours, bare, decoded = alternate(
                rounds,
                lambda: size / _drain(service.target, task_id, service.metadata),
                lambda: size / _drain(f"{processes.HOST}:{port}"),
                lambda: size / _decode(service.data_dir),
            )
    return [
        Figure(
            what=f"A result of {ROWS:,} rows ({size:.0f} MB) by StreamResult",
            unit="MB/s",
            ours=Series(ours),
            reference_name="a bare gRPC stream of the same Arrow bytes",
            reference=Series(bare),
            target=Target(at_least=0.8),
            remarks=[f"pyarrow alone decodes its file at {Series(decoded).median:,.0f} MB/s"],
        )
    ]


def deep_page(rounds: int) -> Sequence[Figure]:
    """Milliseconds for a page far inside, beside the first one."""
    with _table() as (service, task_id):
        deep, first = alternate(
            rounds,
            lambda: _page(service, task_id, ROWS // PAGE - PAGES),
            lambda: _page(service, task_id, 1),
        )
    return [
        Figure(
            what=f"openFile: a page of {PAGE:,} rows deep inside {ROWS:,}",
            unit="ms",
            ours=Series(deep),
            reference_name="the first page",
            reference=Series(first),
            target=Target(at_most=1.5),
        )
    ]


@contextmanager
def _table() -> Iterator[tuple[Service, str]]:
    with processes.service() as service, Client(service.target, token=service.token) as client:
        job = client.submit(QUERY, engine="duckdb", run_type="sql")
        job.wait(check=True)
        yield service, str(job.task_id)


def _messages(target: str, task_id: str, metadata: Metadata) -> Iterator[bytes]:
    with grpc.insecure_channel(target, options=OPTIONS) as channel:
        stub = entrance_pb2_grpc.EntranceServiceStub(channel)
        for response in stub.StreamResult(pb.StreamResultRequest(id=task_id), metadata=metadata):
            yield response.data


def _drain(target: str, task_id: str = "", metadata: Metadata = ()) -> float:
    begun = time.perf_counter()
    for _ in _messages(target, task_id, metadata):
        pass
    return time.perf_counter() - begun


def _decode(data_dir: Path) -> float:
    """Seconds that one thread needs for what the server has to do to the only table there is."""
    (file,) = data_dir.rglob("*.parquet")
    begun = time.perf_counter()
    for _ in pyarrow.parquet.ParquetFile(file, pre_buffer=False).iter_batches(use_threads=False):
        pass
    return time.perf_counter() - begun


def _page(service: Service, task_id: str, first: int) -> float:
    """Of one page, on average over some that follow each other."""
    pages = count(first)
    path = f"entrance:///{task_id}/results/_0.dolphin"
    url = f"http://{processes.HOST}:{service.http_port}/api/rest_j/v1/filesystem/openFile"
    with httpx.Client(headers=dict(service.metadata), timeout=60) as client:

        def read() -> None:
            page = {"path": path, "page": str(next(pages)), "pageSize": str(PAGE)}
            client.get(url, params=page).raise_for_status()

        return milliseconds(read, PAGES)
