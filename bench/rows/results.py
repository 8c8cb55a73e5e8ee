"""Results: a large table streamed, and a page deep inside it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import httpx

from bench import processes
from bench.figures import Figure, Series, Target
from bench.processes import Service
from bench.rows.status import reference
from entrance.client import Client
from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import entrance_pb2_grpc

ROWS = 10_000_000
PAGE = 5_000
PAGES = 20
PIECE = 1024 * 1024
QUERY = f"""\
--set ide.engine.no.limit.allow=true
SELECT range AS id, range * 2 AS twice FROM range({ROWS})
"""


def streamed_result(rounds: int) -> Figure:
    """Megabytes per second of a table as Arrow."""
    ours, bare = [], []
    with _table() as (service, task_id), tempfile.TemporaryDirectory() as name:
        file = Path(name) / "table.arrow"
        file.write_bytes(b"".join(_pieces(service.target, task_id, service.token)))
        size = file.stat().st_size / 1e6
        with reference(
            "bench.references.pipe_stream", "--file", str(file), "--piece", str(PIECE)
        ) as port:
            for _ in range(rounds):
                ours.append(size / _drain(service.target, task_id, service.token))
                bare.append(size / _drain(f"127.0.0.1:{port}", "", ""))
    return Figure(
        what=f"A result of {ROWS:,} rows by StreamResult",
        unit="MB/s",
        ours=Series(ours),
        reference_name="a bare gRPC stream of the same Arrow bytes",
        reference=Series(bare),
        target=Target(at_least=0.8),
    )


def deep_page(rounds: int) -> Figure:
    """Milliseconds for a page far inside, beside the first one."""
    deep, first = [], []
    with _table() as (service, task_id):
        for _ in range(rounds):
            deep.append(_page(service, task_id, ROWS // PAGE - PAGES))
            first.append(_page(service, task_id, 1))
    return Figure(
        what=f"openFile: a page of {PAGE:,} rows deep inside",
        unit="ms",
        ours=Series(deep),
        reference_name="the first page",
        reference=Series(first),
        target=Target(at_most=1.5),
    )


@contextmanager
def _table() -> Iterator[tuple[Service, str]]:
    with processes.service() as service, Client(service.target, token=service.token) as client:
        job = client.submit(QUERY, engine="duckdb")
        job.wait(check=True)
        yield service, str(job.task_id)


def _pieces(target: str, task_id: str, token: str) -> Iterator[bytes]:
    options = [("grpc.max_receive_message_length", 64 * PIECE)]
    with grpc.insecure_channel(target, options=options) as channel:
        stub = entrance_pb2_grpc.EntranceServiceStub(channel)
        metadata = (("authorization", f"Bearer {token}"),)
        for response in stub.StreamResult(pb.StreamResultRequest(id=task_id), metadata=metadata):
            yield response.data


def _drain(target: str, task_id: str, token: str) -> float:
    begun = time.perf_counter()
    for _ in _pieces(target, task_id, token):
        pass
    return time.perf_counter() - begun


def _page(service: Service, task_id: str, page: int) -> float:
    base = f"http://127.0.0.1:{service.http_port}/api/rest_j/v1/filesystem/openFile"
    path = f"entrance:///{task_id}/results/_0.dolphin"
    headers = {"Authorization": f"Bearer {service.token}"}
    with httpx.Client(headers=headers) as client:
        begun = time.perf_counter()
        for number in range(PAGES):
            query = {"path": path, "page": str(page + number), "pageSize": str(PAGE)}
            client.get(base, params=query, timeout=60).raise_for_status()
        return (time.perf_counter() - begun) / PAGES * 1000
