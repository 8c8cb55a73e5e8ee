"""Checks the engine's settings of a request, and tells which of them have no effect. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from entrance_server.domain.errors import FieldViolation, InvalidRequest
from entrance_server.domain.job import JobParams
from entrance_server.domain.notes import Note
from entrance_server.engines.connections import Connections, setting_of
from entrance_server.engines.parameters import SCOPES, Scope, find
from entrance_server.engines.registry import EngineInfo
from entrance_server.preprocess.notes import capped, shown

PARAMS_WRONG = 20010


def check(engine: EngineInfo, params: JobParams, user: str, connections: Connections) -> None:
    """Checks the settings that an engine knows, in a job that runs as some user.

    Raises:
        InvalidRequest: some have values that it does not take; each is named.
    """
    violations = [
        FieldViolation(f"params.configuration.{scope}.{name}", problem)
        for scope, name, text in _settings(params)
        if (parameter := find(engine.parameters, scope, name)) is not None
        and (problem := parameter.problem(name, text)) is not None
    ]
    violations += _connection_violations(engine, params, user, connections)
    if violations:
        raise InvalidRequest(
            "; ".join(f"{one.field} {one.description}" for one in violations) + ".",
            reason="WRONG_PARAMETER",
            err_code=PARAMS_WRONG,
            violations=violations,
        )


def notes(engine: EngineInfo, params: JobParams) -> tuple[Note, ...]:
    """A warning for each setting that the engine does not know."""
    unknown = [
        Note("WARN", f"The setting {shown(f'{scope}.{name}')} has no effect: {_why(engine, name)}.")
        for scope, name, _ in _settings(params)
        if find(engine.parameters, scope, name) is None
    ]
    return capped(unknown, "settings")


def _connection_violations(
    engine: EngineInfo, params: JobParams, user: str, connections: Connections
) -> list[FieldViolation]:
    setting = setting_of(engine.engine_type)
    if find(engine.parameters, "startup", setting) is None:
        return []
    name = params.startup.get(setting, engine.defaults.get(setting))
    if engine.direct and not connections.has(engine.engine_type) and name is None:
        return []
    problems = {setting: connections.problem(engine.engine_type, user, name)}
    if engine.direct and engine.direct in params.startup:
        problems[engine.direct] = f"can't be set here; name a connection by {setting}"
    return [
        FieldViolation(f"params.configuration.startup.{field}", problem)
        for field, problem in problems.items()
        if problem
    ]


def _why(engine: EngineInfo, name: str) -> str:
    elsewhere = next((scope for scope in SCOPES if find(engine.parameters, scope, name)), None)
    if elsewhere:
        return f"engine {engine.engine_type} takes it in {elsewhere}"
    return f"engine {engine.engine_type} does not have it"


def _settings(params: JobParams) -> Iterator[tuple[Scope, str, str]]:
    by_scope: Mapping[Scope, Mapping[str, str]] = {
        "startup": params.startup,
        "runtime": params.runtime,
    }
    for scope, settings in by_scope.items():
        for name, text in settings.items():
            yield scope, name, text
