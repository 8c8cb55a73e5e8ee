"""What the server needs of a runner, and of whoever starts runners, wherever that is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import grpc.aio

from entrance_server.domain.job import SessionRecord
from entrance_server.engines.setup import Setup

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", 8 * 1024 * 1024),
    ("grpc.max_send_message_length", 8 * 1024 * 1024),
    ("grpc.initial_reconnect_backoff_ms", 20),
    # how long one attempt to connect may take, which is long on a busy machine
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 500),
    # an address is one runner for ever, so a shared subchannel would only mix up their ends
    ("grpc.use_local_subchannel_pool", 1),
)

Squeezed = Callable[[str], Awaitable[None]]
"""Told now and then, in a sentence, that a runner waits for room; what it raises ends the wait."""


class Runner(Protocol):
    """A runner, known by what outlives a restart of the server."""

    @property
    def session_id(self) -> str:
        """Names its session."""

    @property
    def address(self) -> str:
        """The gRPC target."""

    @property
    def pid(self) -> int:
        """Its process, on its machine."""

    @property
    def process_start(self) -> float:
        """When that started; 0 where its machine tells no server."""

    @property
    def host(self) -> str:
        """Its machine, by the name that `machine_name` gives there; "" where no server matters."""

    @property
    def directory(self) -> str:
        """Its session's own directory, on its machine; "" where every server knows it."""

    def channel(self) -> grpc.aio.Channel:
        """A new connection to it."""

    def is_listening(self) -> bool:
        """Whether it can be called."""

    def is_alive(self) -> bool:
        """Whether it runs, or is frozen, as far as is known here."""

    def loss(self) -> str | None:
        """Why it does not live, where that is known."""

    def kill_tree(self) -> None:
        """Ends the runner and all that descends from it, by force; `reap` tells when."""


class Launcher(Protocol):
    """Starts runners and ends what is left of them."""

    async def launch(self, options: Mapping[str, str], squeezed: Squeezed) -> Runner:
        """Starts a runner that waits for its session; it may not listen yet.

        Args:
            options: The startup settings of the session that it is for.
            squeezed: Told when it has to wait for room.

        Raises:
            OSError: the process or its directory could not be made.
            SessionRefused: there is no place for it.
        """

    def attach(self, record: SessionRecord) -> Runner:
        """The runner of a session that an earlier server opened."""

    async def set_up(self, session_id: str, options: Mapping[str, str]) -> Setup:
        """What a session is opened with; its environment has nothing of the server's settings.

        Raises:
            SessionRefused: its working directory is not there or not allowed.
        """

    async def reap(self, runner: Runner) -> int | None:
        """Waits for the end of a runner, by force after a while, and removes what it left.

        Returns:
            Its exit status, negative for a signal; None where it is not known.
        """

    async def found(self) -> set[str]:
        """The names of sessions of which there is something, and that were not launched by this."""

    async def end_stray(self, session_id: str) -> None:
        """Ends whatever belongs to a session by force, and removes what it left."""
