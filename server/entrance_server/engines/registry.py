"""The engines of this installation, found through the entry-point group `entrance.engines`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata

import structlog

from entrance_server.engines import parameters
from entrance_server.engines.parameters import EngineParameter, Scope

log = structlog.get_logger(__name__)

ENTRY_POINT_GROUP = "entrance.engines"

Companion = Callable[[Mapping[str, str]], str | None]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the server knows of an engine, beside its code.

    `defaults` are startup settings of sessions whose jobs say nothing else. `direct` is the setting
    that stands in for a named connection while there are none. `companion` tells, for the startup
    settings of a session, the module of a program that it shares with others, or None. Without
    `has_results` no job of it has any.
    """

    engine_type: str
    version: str
    run_types: tuple[str, ...]
    description: str
    parameters: tuple[EngineParameter, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    direct: str = ""
    companion: Companion = lambda _: None
    has_results: bool = True


class NotInstalled(ValueError):
    """The program behind an engine is not there; the message says what is missing."""


class EngineRegistry:
    """Engines by their type, and further names for them."""

    def __init__(self, engines: Sequence[EngineInfo], *, aliases: Mapping[str, str]) -> None:
        self._engines = {engine.engine_type: engine for engine in engines}
        self._aliases = dict(aliases)

    @classmethod
    def installed(
        cls,
        *,
        only: Sequence[str],
        aliases: Mapping[str, str],
        of_every_session: Sequence[EngineParameter],
        defaults: Mapping[str, Mapping[str, str]],
    ) -> EngineRegistry:
        """Reads the engines that are installed.

        Args:
            only: The engines to offer; empty means all.
            aliases: Further names of engines.
            of_every_session: Settings that every engine's sessions take.
            defaults: Startup settings by engine.

        Raises:
            NotInstalled: an engine is named whose program is not installed.
            ValueError: an engine is named that there is not, or a default is wrong.
        """
        points = {point.name: point for point in metadata.entry_points(group=ENTRY_POINT_GROUP)}
        unknown = sorted({*only, *aliases.values(), *defaults} - set(points))
        if unknown:
            raise ValueError(
                f"these engines are configured, but not installed: {', '.join(unknown)}; "
                f"installed are: {', '.join(sorted(points))}"
            )
        engines: list[EngineInfo] = []
        for name in sorted(only or points):
            try:
                engines.append(_describe(points[name], of_every_session, defaults.get(name, {})))
            except NotInstalled as error:
                if name in {*only, *aliases.values(), *defaults}:
                    raise
                log.info("engine not offered", engine=name, reason=str(error))
        return cls(engines, aliases=aliases)

    def find(self, engine_type: str) -> EngineInfo | None:
        """The engine of this type or alias, or None."""
        return self._engines.get(self._aliases.get(engine_type, engine_type))

    def find_label(self, label: str) -> EngineInfo | None:
        """The engine that a label `engineType` names, with a version after a dash or without."""
        return self.find(label) or self.find(label.partition("-")[0])

    def list(self) -> Sequence[EngineInfo]:
        """All engines by name."""
        return [self._engines[name] for name in sorted(self._engines)]

    def has_results(self, engine_type: str) -> bool:
        """Whether jobs of an engine can have results, as those of one that is not known may."""
        engine = self._engines.get(engine_type)
        return engine is None or engine.has_results

    def effective(
        self, engine_type: str, scope: Scope, given: Mapping[str, str]
    ) -> Mapping[str, str]:
        """The settings that act of those that a job gives, with the defaults of its engine."""
        engine = self._engines.get(engine_type)
        if engine is None:
            return {}
        defaults = engine.defaults if scope == "startup" else {}
        return {**defaults, **parameters.known(engine.parameters, scope, given)}


def _describe(
    point: metadata.EntryPoint,
    of_every_session: Sequence[EngineParameter],
    defaults: Mapping[str, str],
) -> EngineInfo:
    engine = point.load()
    try:
        version = engine.version()
    except Exception as error:  # of a class of the runner's, which the server does not know
        raise NotInstalled(f"the engine {point.name} can't start: {error}") from None
    info = EngineInfo(
        engine_type=engine.engine_type,
        version=version,
        run_types=tuple(engine.run_types),
        description=engine.description,
        parameters=(
            *map(parameters.declared_by_engine, engine.parameters),
            *of_every_session,
        ),
        defaults=dict(defaults),
        direct=engine.direct,
        companion=engine.companion,
        has_results=engine.has_results,
    )
    for name, text in defaults.items():
        parameter = parameters.find(info.parameters, "startup", name)
        problem = parameter.problem(name, text) if parameter else "is no startup setting"
        if problem:
            raise ValueError(f"the default {name} of engine {info.engine_type} {problem}")
    return info
