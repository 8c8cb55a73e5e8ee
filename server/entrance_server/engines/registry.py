"""The engines of this installation, found through the entry-point group `entrance.engines`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

ENTRY_POINT_GROUP = "entrance.engines"


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the server knows of an engine: its name, dialects and version, not its code."""

    engine_type: str
    version: str
    run_types: tuple[str, ...]
    description: str


class EngineRegistry:
    """Engines by their type, and further names for them."""

    def __init__(self, engines: Sequence[EngineInfo], *, aliases: Mapping[str, str]) -> None:
        self._engines = {engine.engine_type: engine for engine in engines}
        self._aliases = dict(aliases)

    @classmethod
    def installed(cls, *, only: Sequence[str], aliases: Mapping[str, str]) -> EngineRegistry:
        """Reads the engines that are installed; `only` names those to offer, empty means all.

        Raises:
            ValueError: `only` or an alias names an engine that is not installed.
        """
        engines = {
            point.name: _describe(point) for point in metadata.entry_points(group=ENTRY_POINT_GROUP)
        }
        unknown = sorted((set(only) | set(aliases.values())) - set(engines))
        if unknown:
            raise ValueError(
                f"these engines are configured, but not installed: {', '.join(unknown)}; "
                f"installed are: {', '.join(sorted(engines))}"
            )
        offered = [engines[name] for name in sorted(engines) if not only or name in only]
        return cls(offered, aliases=aliases)

    def find(self, engine_type: str) -> EngineInfo | None:
        """The engine of this type or alias, or None."""
        return self._engines.get(self._aliases.get(engine_type, engine_type))

    def list(self) -> Sequence[EngineInfo]:
        """All engines by name."""
        return [self._engines[name] for name in sorted(self._engines)]


def _describe(point: metadata.EntryPoint) -> EngineInfo:
    engine = point.load()
    return EngineInfo(
        engine.engine_type, engine.version(), tuple(engine.run_types), engine.description
    )
