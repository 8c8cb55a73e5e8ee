"""What the processes of a session may use at most."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from entrance_runner.parameters import Parameter, ParameterType, Scope, size_of

THREADS_VARIABLE: Final = "OMP_NUM_THREADS"  # numeric libraries ask for it
MOST_CORES: Final = 1024
_LEAST_MEMORY: Final = 16 * 1024 * 1024

# The limit holds for the shell, which then becomes the command, and for all that descends from it.
_LIMITING = 'ulimit -d "$1" && shift && exec "$@"'


def memory_parameter(engine_type: str, scope: Scope = Scope.STARTUP) -> Parameter:
    """The setting of the memory that a process may have for itself."""
    return Parameter(
        f"{engine_type}.memory_limit",
        ParameterType.SIZE,
        "Memory that each process may have for itself, such as 2GB; unset means no limit.",
        scope,
        least=_LEAST_MEMORY,
    )


def cores_parameter(engine_type: str, scope: Scope = Scope.STARTUP) -> Parameter:
    """The setting of the cores that the processes may run on."""
    return Parameter(
        f"{engine_type}.cores",
        ParameterType.INTEGER,
        "Cores that the processes together may run on; unset means all.",
        scope,
        least=1,
        most=MOST_CORES,
    )


def allowed_cores() -> Sequence[int] | None:
    """The cores that what this process starts may run on; None where only Linux could tell."""
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Usage:
    """What the settings of an engine say that its processes may use; None is no limit."""

    memory: int | None
    cores: int | None

    @classmethod
    def of(cls, engine_type: str, options: Mapping[str, str]) -> Usage:
        """Reads settings that were checked."""
        memory = options.get(f"{engine_type}.memory_limit")
        cores = options.get(f"{engine_type}.cores")
        return cls(size_of(memory) if memory else None, int(cores) if cores else None)

    def limited(self, command: Sequence[str]) -> list[str]:
        """A command whose processes can't have more memory each."""
        if self.memory is None:
            return list(command)
        return ["/bin/sh", "-c", _LIMITING, "sh", str(self.memory // 1024), *command]

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """An environment that also tells libraries how many threads are of use."""
        told = {} if self.cores is None else {THREADS_VARIABLE: str(self.cores)}
        return {**told, **variables}

    @property
    def hint(self) -> str:
        """What to add to an error that a lack of memory may have caused."""
        if self.memory is None:
            return ""
        return f" (each process may have {self.memory / 2**20:g} MiB of memory)"

    @contextlib.contextmanager
    def on_cores(self) -> Iterator[None]:
        """Lets processes that are started in the block run on so many cores alone.

        Which ones is left to chance, so that sessions spread. Only Linux can do it.
        """
        allowed = allowed_cores()
        if self.cores is None or allowed is None:
            yield
            return
        os.sched_setaffinity(0, random.sample(allowed, min(self.cores, len(allowed))))
        try:
            yield
        finally:
            os.sched_setaffinity(0, allowed)
