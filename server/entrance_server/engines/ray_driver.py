"""`python -m entrance_server.engines.ray_driver ADDRESS`: a server's connection to Ray.

A process of its own, since Ray starts threads, takes over signals, blocks, and ends the process
that it is in when it loses its cluster. It reads calls from standard input and answers on standard
output, a line of JSON for each, until standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any

import ray
import ray.exceptions

from entrance_server.engines.ray_actor import RunnerActor
from entrance_server.engines.ray_order import Order

NAMESPACE = "entrance"
REACH_TIMEOUT = 5.0  # seconds
NOTICE_INTERVAL = 2.0  # seconds
SLOW = 5  # notices after which a place is missing, whatever Ray tells of what is free
READ_MOST = 1024 * 1024  # bytes

Reply = dict[str, Any]


class Driver:
    """Answers calls, many at once; each answer has the number of its call."""

    def __init__(self) -> None:
        self._head = ""
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # whatever else is printed here is no answer

    def connect(self, address: str) -> None:
        """Connects to a cluster. Blocks.

        Raises:
            Exception: it can't; Ray has many kinds of errors for that.
        """
        _check_reachable(address)
        ray.init(
            address=address,
            namespace=NAMESPACE,
            log_to_driver=False,
            include_dashboard=False,
            logging_level=logging.ERROR,
        )
        behind = address.startswith("ray://")
        self._head = address if behind else ray.get_runtime_context().gcs_address

    def send(self, reply: Reply) -> None:
        """Writes a line."""
        self._out.write(json.dumps(reply) + "\n")
        self._out.flush()

    async def serve(self, lines: asyncio.StreamReader) -> None:
        """Answers until there are no more calls."""
        async with asyncio.TaskGroup() as calls:
            tasks = set()
            while line := await lines.readline():
                task = calls.create_task(self._answer(json.loads(line)))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            for task in tasks:
                task.cancel()

    async def _answer(self, call: Mapping[str, Any]) -> None:
        number = call["number"]
        method = getattr(self, f"do_{call['method']}")
        try:
            # Ray itself would wait for a head that is gone
            await asyncio.to_thread(_check_reachable, self._head)
            self.send({"number": number, "result": await method(number, **call["arguments"])})
        except OSError as error:
            self.send({"number": number, "gone": str(error)})
        except Exception as error:  # whatever Ray raises is the caller's to judge
            self.send({"number": number, "error": _sentence(error)})

    async def do_launch(
        self, number: int, owner: str, cores: float, memory: int, order: Mapping[str, Any]
    ) -> object:
        """Places a runner; tells now and then that it waits for room."""
        actor = await asyncio.to_thread(
            lambda: (
                ray.remote(RunnerActor)
                .options(
                    name=f"{owner}/{order['session_id']}",
                    lifetime="detached",
                    num_cpus=cores,
                    memory=memory or None,
                    max_restarts=0,
                    max_concurrency=100,
                )
                .remote(Order(**order))
            )
        )
        placed = asyncio.ensure_future(actor.place.remote())
        notices = 0
        while not (await asyncio.wait({placed}, timeout=NOTICE_INTERVAL))[0]:
            notices += 1
            free = await asyncio.to_thread(ray.available_resources)
            if _lacks(free, cores, memory) or notices > SLOW:
                total = await asyncio.to_thread(ray.cluster_resources)
                self.send({"number": number, "notice": [_room(free), _room(total)]})
        return await placed

    async def do_wait(self, number: int, session_id: str) -> object:
        """The exit status of a session's runner, once it has ended."""
        name = await asyncio.to_thread(_named, session_id)
        if name is None:
            return None
        actor = await asyncio.to_thread(ray.get_actor, name)
        return await actor.wait.remote()

    async def do_kill(self, number: int, session_id: str) -> object:
        """Ends a session's actor, and with it the runner; one that is gone is no error."""
        await asyncio.to_thread(_kill, session_id)
        return None

    async def do_list(self, number: int, owner: str) -> object:
        """The sessions of which an owner has actors."""
        names = await asyncio.to_thread(ray.util.list_named_actors)
        return [name.rpartition("/")[2] for name in names if name.rpartition("/")[0] == owner]


def _named(session_id: str) -> str | None:
    names = ray.util.list_named_actors()
    return next((name for name in names if name.rpartition("/")[2] == session_id), None)


def _kill(session_id: str) -> None:
    if (name := _named(session_id)) is not None:
        try:
            ray.kill(ray.get_actor(name))
        except ValueError:  # it went meanwhile
            return


def _lacks(free: Mapping[str, float], cores: float, memory: int) -> bool:
    return free.get("CPU", 0.0) < cores or free.get("memory", 0.0) < memory


def _room(resources: Mapping[str, float]) -> Reply:
    return {"cores": resources.get("CPU", 0.0), "memory": int(resources.get("memory", 0))}


def _sentence(error: Exception) -> str:
    """What an error says, without a stack of Ray's."""
    cause = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[-1] if lines else type(cause).__name__


def _check_reachable(address: str) -> None:
    """Fails at once where Ray itself would try for a minute.

    Raises:
        OSError: nobody answers there.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), REACH_TIMEOUT).close()


async def _serve(driver: Driver) -> None:
    lines = asyncio.StreamReader(limit=READ_MOST)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    await driver.serve(lines)


def main(address: str) -> int:
    """Connects, says so or why not, and serves.

    Returns:
        The exit status.
    """
    driver = Driver()
    try:
        driver.connect(address)
    except Exception as error:  # of many kinds
        driver.send({"refused": _sentence(error)})
        return 1
    driver.send({"connected": True})
    asyncio.run(_serve(driver))
    ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
