"""The programs under test: each behind proxies, and started again at the port that it had."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support import settable_clock
from tests.support.daemon import Daemon
from tests.system.campaign.proxy import HOST, Proxy


class Program:
    """A server or a gateway; `proxy` is the way of clients to it, `proxies` are all ways."""

    def __init__(
        self,
        name: str,
        module: str,
        *,
        output: Path,
        environment: Mapping[str, str],
        arguments: Callable[[], Sequence[str]],
    ) -> None:
        self.name = name
        self.daemon = Daemon(name, [module], root=output, environment=environment)
        self.proxy = Proxy()
        self._arguments = arguments

    @property
    def proxies(self) -> tuple[Proxy, ...]:
        """All ways to it."""
        return (self.proxy,)

    @property
    def runs(self) -> bool:
        return self.daemon.runs

    def start(self) -> None:
        """Starts it and waits until it answers."""
        listen = ("--host", HOST, "--port", str(self.proxy.upstream))
        told = self.daemon.start(*listen, *self._arguments())
        for proxy in self.proxies:
            proxy.upstream = told["port"]

    def forget(self) -> None:
        """Removes what a run that was killed left on the machine."""
        settable_clock.forget(self.daemon.pid)

    def end_by_force(self) -> None:
        """Ends it if it runs."""
        if self.daemon.runs:
            self.daemon.kill()
        self.forget()


class Server(Program):
    """A server on a data directory of its own; `gateway_proxy` is the way of gateways to it."""

    def __init__(
        self, name: str, data_dir: Path, *, output: Path, environment: Mapping[str, str]
    ) -> None:
        self.data_dir = data_dir
        self.gateway_proxy = Proxy()
        super().__init__(
            name,
            "entrance_server",
            output=output,
            environment=environment,
            arguments=lambda: ("--data-dir", str(data_dir)),
        )

    @property
    def proxies(self) -> tuple[Proxy, ...]:
        """All ways to it."""
        return self.proxy, self.gateway_proxy


class Gateway(Program):
    """A gateway that knows all servers."""

    def __init__(
        self,
        name: str,
        servers: Sequence[Server],
        *,
        output: Path,
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(
            name,
            "entrance_gateway",
            output=output,
            environment=environment,
            arguments=lambda: (
                "--server-target",
                ",".join(f"{HOST}:{server.gateway_proxy.port}" for server in servers),
            ),
        )
