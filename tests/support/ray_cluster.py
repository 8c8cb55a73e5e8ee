"""A small Ray cluster of two nodes on this machine, in a process of its own.

`python -m tests.support.ray_cluster` starts it, and answers commands from standard input
until that ends: one line of JSON for each, the first with the address.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from entrance_server.engines.ray_driver import NAMESPACE

NODE = {
    "num_cpus": 1,
    "memory": 1024**3,
    "object_store_memory": 80 * 1024**2,
    "include_dashboard": False,
}


class RayCluster:
    """The cluster, for tests: nodes are killed and added, and what is on them is told."""

    def __init__(self, directory: Path) -> None:
        environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "TMPDIR": str(directory)}
        with open(directory / "cluster.log", "wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.ray_cluster"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                env=environment,
            )
        self.address = ""
        self.lives = True
        self.newest_node = 1  # beside the head, which is 0

    def wait_until_ready(self) -> None:
        """Waits for the address."""
        self.address = str(self._answer())

    def kill_node(self) -> str:
        """Ends the newest node, and whatever is on it, without a warning; its address."""
        self._ask("kill_node", self.newest_node)
        return _address(self.newest_node)

    def kill_head(self) -> None:
        """Ends the process that knows of all nodes and actors."""
        self.lives = False
        self._ask("kill_head")

    def add_node(self) -> None:
        """Adds a node like the others."""
        self.newest_node = int(self._ask("add_node"))

    def actors(self) -> list[str]:
        """The names of the actors that there are, or are to be."""
        return list(self._ask("actors"))

    def free_cores(self) -> float:
        """Cores of all nodes that are free."""
        return float(self._ask("free_cores"))

    def close(self) -> None:
        """Ends the cluster."""
        with self._process as process:
            if process.stdin is not None:
                process.stdin.close()

    def _ask(self, *command: object) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the Ray cluster has ended"
        return json.loads(line)


@contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """A cluster from here to the end of the block."""
    directory = Path(tempfile.mkdtemp(prefix="ray-"))  # a short path, since sockets lie below it
    try:
        with contextlib.closing(RayCluster(directory)) as cluster:
            cluster.wait_until_ready()
            yield cluster
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class _Nodes:
    """The cluster itself."""

    def __init__(self) -> None:
        import ray
        from ray.cluster_utils import Cluster

        self._ray = ray
        self._cluster = Cluster(initialize_head=True, head_node_args=self._node(0))
        self._nodes = [self._cluster.head_node]
        self.add_node()
        ray.init(self.address, namespace=NAMESPACE, log_to_driver=False)

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def kill_head(self) -> None:
        self._ray.shutdown()  # it would end this process
        for server in self._nodes[0].all_processes["gcs_server"]:
            server.process.kill()
            server.process.wait()

    def kill_node(self, node: int) -> None:
        """The head's number is 0."""
        self._cluster.remove_node(self._nodes[node], allow_graceful=False)

    def add_node(self) -> int:
        number = len(self._nodes)
        self._nodes.append(self._cluster.add_node(**self._node(number)))
        return number

    def _node(self, number: int) -> dict[str, object]:
        return {**NODE, "node_ip_address": _address(number)}

    def actors(self) -> list[str]:
        return list(self._ray.util.list_named_actors())

    def free_cores(self) -> float:
        return float(self._ray.available_resources().get("CPU", 0.0))

    def close(self) -> None:
        self._ray.shutdown()
        self._cluster.shutdown()


def _address(number: int) -> str:
    return f"127.0.0.{number + 2}"  # Ray takes 127.0.0.1 for the machine's own address


def main() -> None:
    """Runs the cluster."""
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)  # Ray prints too
        with contextlib.closing(_Nodes()) as nodes:
            print(json.dumps(nodes.address), file=out, flush=True)
            for line in sys.stdin:
                name, *arguments = json.loads(line)
                print(json.dumps(getattr(nodes, name)(*arguments)), file=out, flush=True)


if __name__ == "__main__":
    main()
