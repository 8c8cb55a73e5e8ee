"""A real S3 server, SeaweedFS, as a process of its own on this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from obstore.store import S3Store
from pydantic import SecretStr

from entrance_server.archive import Place
from tests.support.door import HOST, Door
from tests.support.ports import free_ports
from tests.support.waiting import PATIENCE, until

REGION = "us-east-1"
OWNER = "owner"  # may do everything
READER = "reader"  # may only read
SECRET = "a-secret-that-no-log-shows"
WEED = Path(sys.executable).with_name("weed")
_PARTS = ("s3", "master", "volume", "filer")


class ObjectStorage:
    """The server. `door` stands before it, and can be shut and opened while it runs."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._ports = free_ports(2 * len(_PARTS))
        self._process: subprocess.Popen[bytes] | None = None
        self.door = Door(self._ports[0])

    def start(self) -> None:
        """Starts it, and returns when it takes and gives objects."""
        config = self._root / "s3.json"
        config.write_text(json.dumps({"identities": _identities()}))
        with (self._root / "weed.log").open("ab") as output:
            self._process = subprocess.Popen(
                [str(WEED), "-logtostderr", "server", *self._options(config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._root,
            )
        self.make_bucket("ready")
        until(lambda: self._takes_objects("ready"), "object storage takes objects")

    def make_bucket(self, name: str) -> None:
        """Makes a bucket; one that is there is no error."""
        filer = f"http://{HOST}:{self._ports[_PARTS.index('filer')]}"
        until(lambda: _is_made(f"{filer}/buckets/{name}/"), f"there is a bucket {name}")

    def objects(self, bucket: str, prefix: str = "") -> dict[str, int]:
        """The names of all objects, with their sizes."""
        listed = self.store(bucket).list(prefix)
        return {one["path"]: one["size"] for batch in listed for one in batch}

    def store(self, bucket: str) -> S3Store:
        return S3Store(
            bucket,
            endpoint=f"http://{HOST}:{self._ports[0]}",
            region=REGION,
            access_key_id=OWNER,
            secret_access_key=SECRET,
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )

    def settings(self, place: str) -> Mapping[str, str]:
        """The settings of a server that keeps things at `bucket/prefix`."""
        return {
            "ENTRANCE_ARCHIVE_URL": f"s3://{place}",
            "ENTRANCE_ARCHIVE_ENDPOINT": f"http://{HOST}:{self.door.port}",
            "ENTRANCE_ARCHIVE_REGION": REGION,
            "ENTRANCE_ARCHIVE_ACCESS_KEY_ID": OWNER,
            "ENTRANCE_ARCHIVE_SECRET_ACCESS_KEY": SECRET,
        }

    def place(self, bucket: str) -> Place:
        """A bucket, as a server is told of it."""
        return Place(
            bucket=bucket,
            endpoint=f"http://{HOST}:{self.door.port}",
            region=REGION,
            access_key_id=OWNER,
            secret_access_key=SecretStr(SECRET),
        )

    def kill(self) -> None:
        """Ends it by force."""
        process = self._running()
        process.kill()
        process.wait(PATIENCE)

    def remove(self) -> None:
        """Removes what it holds, and the sockets that it left."""
        shutil.rmtree(self._root)
        for port in self._ports:
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "object storage was not started"
        return self._process

    def _takes_objects(self, bucket: str) -> bool:
        try:
            self.store(bucket).put("ready", b"yes")
        except Exception:
            assert self._running().poll() is None, (self._root / "weed.log").read_text()[-2000:]
            return False
        return True

    def _options(self, config: Path) -> Sequence[str]:
        ports = [
            option
            for part, port, grpc_port in zip(
                _PARTS, self._ports, self._ports[len(_PARTS) :], strict=False
            )
            for option in (f"-{part}.port={port}", f"-{part}.port.grpc={grpc_port}")
        ]
        data = self._root / "objects"
        data.mkdir(exist_ok=True)
        return [
            f"-dir={data}",
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            "-filer",
            "-s3",
            f"-s3.config={config}",
            "-s3.iam=false",
            "-s3.port.iceberg=0",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=256",
            "-volume.max=30",
            *ports,
        ]


@contextmanager
def object_storage(root: Path) -> Iterator[ObjectStorage]:
    """A server from here to the end of the block."""
    root.mkdir()
    storage = ObjectStorage(root)
    try:
        storage.start()
        storage.door.open()
        yield storage
        storage.door.shut()
    finally:
        storage.kill()
        storage.remove()


def _identities() -> list[object]:
    everything = ["Admin", "Read", "Write", "List", "Tagging"]
    rights = {OWNER: everything, READER: ["Read", "List"]}
    return [
        {
            "name": name,
            "credentials": [{"accessKey": name, "secretKey": SECRET}],
            "actions": actions,
        }
        for name, actions in rights.items()
    ]


def _is_made(url: str) -> bool:
    try:
        return httpx.post(url).is_success
    except httpx.TransportError:
        return False
