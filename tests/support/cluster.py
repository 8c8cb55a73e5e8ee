"""Several servers and gateways as real processes, on one PostgreSQL and one shared directory."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from entrance.client import Client, JobHandle, JobStatus
from entrance.tls import TlsFiles
from tests.support.daemon import Daemon
from tests.support.footprint import Footprint
from tests.support.rest import Rest
from tests.support.rpc import Rpc
from tests.support.service import HOST, SETTINGS, tokens_in
from tests.support.waiting import until

LEASE = 3.0  # seconds: short, but longer than a busy machine lets a process wait


class Server:
    """One of the servers, with a data directory of its own."""

    def __init__(self, name: str, root: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.data_dir = root / name
        self.daemon = Daemon(name, ["entrance_server"], root=root, environment=environment)
        self.port = 0

    @property
    def target(self) -> str:
        return f"{HOST}:{self.port}"

    def start(self) -> None:
        """Starts it; at the port that it had before, if it ran before."""
        listen = ("--host", HOST, "--port", str(self.port))
        told = self.daemon.start("--data-dir", str(self.data_dir), *listen)
        self.port = told["port"]

    def kill(self) -> None:
        """Ends it without a warning."""
        self.daemon.kill()


class Gateway:
    """One of the gateways; it knows all servers."""

    def __init__(self, name: str, root: Path, environment: Mapping[str, str]) -> None:
        self.daemon = Daemon(name, ["entrance_gateway"], root=root, environment=environment)
        self.port = 0

    def start(self, servers: Sequence[Server]) -> None:
        """Starts it; at the port that it had before, if it ran before."""
        targets = ",".join(server.target for server in servers)
        listen = ("--host", HOST, "--port", str(self.port))
        told = self.daemon.start(*listen, "--server-target", targets)
        self.port = told["port"]


class Cluster:
    """Servers and gateways. `token` is alice's."""

    def __init__(
        self,
        root: Path,
        store_url: str,
        *,
        servers: int,
        gateways: int,
        settings: Mapping[str, str],
        tls: TlsFiles | None = None,
    ) -> None:
        self.store_url = store_url
        self.footprint = Footprint(root)
        self._root = root
        self._tls = tls
        self.environment = environment = {
            **self.footprint.environment,
            **SETTINGS,
            "ENTRANCE_STORE_URL": store_url,
            "ENTRANCE_SHARED_DIR": str(root / "shared"),
            "ENTRANCE_LEASE_SECONDS": str(LEASE),
            **settings,
        }
        self.servers = [Server(f"server_{n}", root, environment) for n in range(servers)]
        self.gateways = [Gateway(f"gateway_{n}", root, environment) for n in range(gateways)]
        self.token = asyncio.run(tokens_in(store_url, ["alice"]))["alice"]
        self._connections = contextlib.ExitStack()

    def start(self) -> None:
        """Starts all of them."""
        with ThreadPoolExecutor() as starting:
            list(starting.map(Server.start, self.servers))
            list(starting.map(lambda gateway: gateway.start(self.servers), self.gateways))

    def new_server(self, name: str, **settings: str) -> Server:
        """One more server, with settings of its own; it does not run yet."""
        server = Server(name, self._root, {**self.environment, **settings})
        self.servers.append(server)
        return server

    @property
    def daemons(self) -> list[Daemon]:
        """All programs, the gateways first."""
        return [
            *(gateway.daemon for gateway in self.gateways),
            *(server.daemon for server in self.servers),
        ]

    def client(self, *servers: Server, token: str = "") -> Client:
        """The typed client of some servers, or of all; alice's, unless there is another token."""
        target = ",".join(server.target for server in servers or self.servers)
        credentials = self._tls.read().channel_credentials() if self._tls else None
        client = Client(target, token=token or self.token, credentials=credentials)
        return self._connections.enter_context(client)

    def administrator(self, server: Server) -> Client:
        """The typed client of a server's administrator."""
        return self.client(server, token=(server.data_dir / "admin.token").read_text().strip())

    def rpc(self, server: Server) -> Rpc:
        """Bare calls at one server."""
        found = Rpc(server.port, self.token)
        self._connections.callback(found.close)
        return found

    def rest(self, gateway: Gateway) -> Rest:
        """REST at one gateway."""
        found = Rest(gateway.port, self.token)
        self._connections.callback(found.close)
        return found

    def owner_of(self, job: JobHandle) -> Server:
        """The server that accepted a job, and acts for it unless that was lost."""
        instance = job.get().instance
        return next(one for one in self.servers if instance.endswith(f":{one.port}"))

    def others(self, server: Server) -> list[Server]:
        """All servers but one."""
        return [one for one in self.servers if one is not server]

    def end_all_jobs(self) -> None:
        """Kills what still runs, since a run goes on when its server stops."""
        unfinished = [status for status in JobStatus if not status.is_final]
        client = self.client(*(one for one in self.servers if one.daemon.runs))
        while left := [job.task_id for job in client.list_jobs(statuses=unfinished)]:
            client.kill_jobs(left)

    def stop(self) -> None:
        """Stops what runs as an operator does; fails unless it ends well."""
        with ThreadPoolExecutor() as stopping:
            running = [daemon for daemon in self.daemons if daemon.runs]
            assert set(stopping.map(Daemon.stop, running)) <= {0}

    def close(self) -> None:
        """Ends connections, programs, and whatever jobs left, by force."""
        self._connections.close()
        for daemon in self.daemons:
            if daemon.runs:
                daemon.kill()
        self.footprint.end_by_force()


@contextmanager
def running_cluster(
    store_url: str,
    *,
    servers: int = 3,
    gateways: int = 2,
    settings: Mapping[str, str] = MappingProxyType({}),
    tls: TlsFiles | None = None,
) -> Iterator[Cluster]:
    """Servers and gateways that run; at the end they are stopped, and must have left nothing.

    Args:
        store_url: The PostgreSQL that the servers share.
        servers: How many there are.
        gateways: How many there are.
        settings: What programs have in their environment beside what all tests give them.
        tls: By what clients call servers, where `settings` make these ask for TLS.
    """
    root = Path(tempfile.mkdtemp(prefix="entrance-test-"))  # short, since sockets lie below it
    cluster = Cluster(
        root, store_url, servers=servers, gateways=gateways, settings=settings, tls=tls
    )
    try:
        cluster.start()
        yield cluster
        cluster.end_all_jobs()
        cluster.stop()
        until(lambda: not cluster.footprint.processes(), "no process of the cluster is left")
    finally:
        cluster.close()
        shutil.rmtree(root, ignore_errors=True)
