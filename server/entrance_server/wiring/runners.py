"""Engines, and what starts runners and keeps them at hand."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from entrance_server import data_dir as directories
from entrance_server.config import ServerSettings
from entrance_server.engines.companions import Companions
from entrance_server.engines.connections import Connections
from entrance_server.engines.isolation import IsolationUnavailable, SessionIsolation
from entrance_server.engines.isolation import prepare as prepare_isolation
from entrance_server.engines.launcher import LocalLauncher
from entrance_server.engines.parameters import of_every_session, of_every_session_on_ray
from entrance_server.engines.pool import SessionPool
from entrance_server.engines.registry import EngineRegistry
from entrance_server.engines.runners import Launcher
from entrance_server.wiring.base import Base, StartError

if TYPE_CHECKING:  # only where runners are on Ray
    from entrance_server.engines.authority import Authority

AUTHORITY_FILE = "runners.pem"


@dataclass(frozen=True, slots=True)
class Runners:
    """What jobs run by."""

    engines: EngineRegistry
    connections: Connections
    launcher: Launcher
    pool: SessionPool


async def wire_runners(base: Base) -> Runners:
    """Finds the engines, and starts runners from here on.

    Raises:
        StartError: engines, isolation or Ray are not there as the settings want them.
    """
    settings, stack = base.settings, base.stack
    engines = _engines(settings)
    connections = Connections(settings.connections)
    companions = Companions(
        engines,
        directory=settings.data_dir / "companions",
        python_executable=settings.python_executable,
        isolation=settings.isolation,
    )
    stack.push_async_callback(companions.aclose)
    launcher = await _launcher(base)
    pool = await stack.enter_async_context(
        SessionPool(
            launcher=launcher,
            store=base.store,
            owner=base.instance,
            tenure=base.tenure,
            connections=connections,
            companions=companions,
            max_sessions=settings.max_sessions,
            # a runner on Ray has its cores and memory from the first moment on
            warm_runners=settings.warm_runners if settings.launcher == "local" else 0,
            idle_timeout=settings.session_idle_timeout,
            open_timeout=settings.session_open_timeout,
            visit_interval=settings.orphan_timeout / 4,
        )
    )
    return Runners(engines, connections, launcher, pool)


async def _launcher(base: Base) -> Launcher:
    settings = base.settings
    runtime_dir = base.stack.enter_context(directories.runtime_dir(settings.data_dir))
    isolation = await _isolation(settings, runtime_dir)
    if settings.launcher == "local":
        return LocalLauncher(
            isolation=isolation,
            runtime_dir=runtime_dir,
            python_executable=settings.python_executable,
            orphan_timeout=settings.orphan_timeout,
            working_directories=settings.working_directories,
        )
    return await _ray_launcher(base, isolation)


async def _ray_launcher(base: Base, isolation: SessionIsolation) -> Launcher:
    from entrance_server.engines.ray_launcher import RayLauncher, RayMissing

    settings = base.settings
    try:
        return await base.stack.enter_async_context(
            RayLauncher(
                address=settings.ray_address,
                owner=base.instance,
                authority=await asyncio.to_thread(_authority, settings.files_dir),
                isolation=isolation,
                python_executable=settings.python_executable,
                orphan_timeout=settings.orphan_timeout,
                open_timeout=settings.session_open_timeout,
                working_directories=settings.working_directories,
            )
        )
    except RayMissing as error:
        raise StartError(str(error)) from None


def _authority(directory: Path) -> Authority:
    """What certifies runners on other machines; made by the first server. Blocks."""
    from entrance_server.engines.authority import Authority

    path = directory / AUTHORITY_FILE
    try:
        return Authority(directories.private_once(path, Authority.new))
    except (OSError, ValueError) as error:
        raise StartError(
            f"{path}, by which runners on Ray are known, can't be used: {error}. Without it those "
            "that run are lost; a new one is made when there is none."
        ) from None


async def _isolation(settings: ServerSettings, runtime_dir: Path) -> SessionIsolation:
    try:
        return await asyncio.to_thread(
            prepare_isolation,
            settings.wanted_isolation,
            data_dir=settings.data_dir,
            shared_dir=settings.files_dir,
            sessions_dir=settings.sessions_dir,
            runtime_dir=runtime_dir,
            python=settings.python_executable or sys.executable,
            elsewhere=settings.launcher == "ray",
        )
    except IsolationUnavailable as error:
        raise StartError(str(error)) from None


def _engines(settings: ServerSettings) -> EngineRegistry:
    try:
        return EngineRegistry.installed(
            only=settings.engines,
            aliases=settings.engine_aliases,
            of_every_session=(
                *of_every_session(settings.working_directories),
                *(of_every_session_on_ray() if settings.launcher == "ray" else ()),
            ),
            defaults=settings.engine_defaults,
        )
    except ValueError as error:
        raise StartError(str(error)) from None
