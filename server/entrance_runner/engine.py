"""What an engine is: it opens sessions, and a session runs code. The server imports this too."""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from entrance_runner.parameters import Parameter, Scope

if TYPE_CHECKING:
    from entrance_runner.isolation import Confinement
    from entrance_runner.processes import Processes
    from entrance_runner.results import ResultFile

ENTRY_POINT_GROUP = "entrance.engines"


class EngineUnavailable(Exception):
    """The engine can't start; the message says why."""


class InvalidOption(Exception):
    """A setting that the engine does not know or can't read; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a run, such as a statement, counted in tasks."""

    id: str
    succeeded: int = 0
    failed: int = 0
    running: int = 0
    total: int = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, from 0 to 1, and its parts."""

    fraction: float
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Application:
    """What a run uses on a cluster, by the name that the cluster has for it. Memory in bytes."""

    id: str
    queue: str
    memory_bytes: int
    cores: float
    instances: int


class Level(enum.StrEnum):
    """How serious a message is."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class Report(Protocol):
    """Where a session tells what a run does; printed text goes to the context's `output`."""

    def begun(self) -> None:
        """Tells that the code runs now, and so can be interrupted and frozen; a must."""

    def progress(self, progress: Progress) -> None:
        """Tells how far the run is."""

    def applications(self, applications: Sequence[Application]) -> None:
        """Tells what the run uses on a cluster now."""

    async def result(self, result: ResultFile) -> None:
        """Tells that a result set is complete; waits while too much is unread."""

    async def message(self, level: Level, text: str) -> None:
        """Adds a line of the engine's own to the log; waits while too much is unread."""


@dataclass(frozen=True, slots=True)
class SessionContext:
    """What a session is opened with."""

    session_id: str
    user: str
    working_directory: Path
    environment: Mapping[str, str]
    options: Mapping[str, str]
    scratch: Path  # a private directory of the runner, removed with it; user code may read it
    output: int  # the file descriptor for whatever user code prints
    processes: Processes  # what it spawns is confined
    confinement: Confinement  # for what is started or made otherwise
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to run."""

    run_id: str
    code: str
    run_type: str
    result_directory: Path  # the present one, which nobody uses, where the engine has no results
    options: Mapping[str, str] = field(default_factory=dict)


class Session(abc.ABC):
    """An open engine. The runner gives it one run at a time and calls it from one event loop.

    User code runs in a child process. Pausing, forced ends and leftover processes are the runner's
    work: it finds every descendant by itself.
    """

    @property
    def usable(self) -> bool:
        """Whether another run can follow."""
        return True

    @abc.abstractmethod
    async def run(self, request: RunRequest, report: Report) -> None:
        """Runs code to its end, which is also reached when all its processes are killed.

        Raises:
            RunFailed: the code did not succeed, was interrupted, or its process died.
        """

    @abc.abstractmethod
    async def interrupt(self) -> None:
        """Asks the running code to end; called once in a run at most, after it has begun."""

    async def hold(self) -> bool:
        """Lets no further statement of the run begin.

        Returns:
            False where the engine can't do that: then its processes are frozen instead.
        """
        return False

    async def go_on(self) -> None:  # noqa: B027  # most have nothing to undo
        """Undoes `hold`."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Frees what the session holds in the runner; its processes are dead already."""


class Engine(abc.ABC):
    """A kind of session. The module of an engine imports its library only where a session opens."""

    engine_type: ClassVar[str]
    run_types: ClassVar[Sequence[str]]
    description: ClassVar[str]
    parameters: ClassVar[Sequence[Parameter]] = ()
    direct: ClassVar[str] = ""
    """The startup setting that stands in for a named connection while there are none."""
    has_results: ClassVar[bool] = True
    """Whether a run can have result sets, and so needs a directory for them."""

    @classmethod
    @abc.abstractmethod
    def version(cls) -> str:
        """The version of the program behind the engine, without a heavy import.

        Raises:
            EngineUnavailable: that program is not installed.
        """

    @classmethod
    def companion(cls, options: Mapping[str, str]) -> str | None:
        """The module of a program that sessions with these settings share; None where none do.

        It takes `--directory` and `--idle-timeout`, holds the file `lock` in the directory while it
        runs, writes `ready.json` with its `pid` and `secrets` for sessions once it serves, and ends
        when it is not needed any more, after SIGUSR1 with the last connection.
        """
        return None

    @abc.abstractmethod
    async def open(self, context: SessionContext) -> Session:
        """Starts the engine.

        Raises:
            EngineUnavailable: it does not start.
            InvalidOption: an option has a value that the engine refuses.
        """

    @classmethod
    def check_options(cls, scope: Scope, options: Mapping[str, str]) -> None:
        """Checks the settings for a session or for a run.

        Raises:
            InvalidOption: a setting is not known, or its value is refused.
        """
        declared = [parameter for parameter in cls.parameters if parameter.scope is scope]
        for name, text in options.items():
            parameter = next((one for one in declared if one.has(name)), None)
            if parameter is None:
                names = ", ".join(sorted(one.name for one in declared)) or "none"
                raise InvalidOption(
                    f"the engine {cls.engine_type} has no {scope} setting {name}; it has: {names}"
                )
            if problem := parameter.problem(text):
                raise InvalidOption(f"the setting {name} {problem}")


class WorkerEngine(Engine):
    """An engine that is a library in a worker process; `worker` is its class, as `module:class`."""

    package: ClassVar[str]
    worker: ClassVar[str]

    @classmethod
    def version(cls) -> str:
        """The version of the library."""
        return package_version(cls.package)

    async def open(self, context: SessionContext) -> Session:
        """Starts a worker."""
        from entrance_runner.worker import WorkerSession

        return await WorkerSession.start(context, self.worker)


EngineFinder = Callable[[], Iterable[metadata.EntryPoint]]


def installed_engines() -> Iterable[metadata.EntryPoint]:
    """The entry points of all engines that are installed."""
    return metadata.entry_points(group=ENTRY_POINT_GROUP)


def find_engine(engine_type: str, finder: EngineFinder = installed_engines) -> type[Engine]:
    """The engine of a type.

    Raises:
        InvalidOption: there is none of that type.
        EngineUnavailable: its module can't be imported.
    """
    points = {point.name: point for point in finder()}
    if engine_type not in points:
        names = ", ".join(sorted(points)) or "none"
        raise InvalidOption(f"there is no engine {engine_type!r}; installed are: {names}")
    try:
        engine: type[Engine] = points[engine_type].load()
    except (ImportError, AttributeError) as error:
        raise EngineUnavailable(f"the engine {engine_type} can't be imported: {error}") from error
    return engine


def package_version(distribution: str) -> str:
    """The version of an installed distribution.

    Raises:
        EngineUnavailable: it is not installed.
    """
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        raise EngineUnavailable(f"the package {distribution} is not installed") from None
