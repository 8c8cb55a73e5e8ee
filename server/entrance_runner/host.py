"""The session that the runner hosts, and the one run that may go on in it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from entrance_runner import engine as engines
from entrance_runner.accounts import NoAccount
from entrance_runner.engine import (
    Engine,
    EngineFinder,
    EngineUnavailable,
    RunRequest,
    Session,
    SessionContext,
)
from entrance_runner.isolation import Confinement, Policy
from entrance_runner.output import OutputPipe
from entrance_runner.parameters import Scope
from entrance_runner.processes import Processes
from entrance_runner.run import Run

log = logging.getLogger(__name__)


class WrongState(Exception):
    """The session or its run does not allow this now; the message says why."""


class UnknownRun(Exception):
    """The session has no such run."""


class DirectoryUnavailable(Exception):
    """A directory can't be written for now: its file system is read-only, as the message says."""


class InvalidRequest(Exception):
    """The request can't be carried out as it is; the message says what to change."""


class Host:
    """At most one session, and in it one run at a time.

    `tasks` owns the runs. `scratch` is a private directory that lives as long as the host,
    `directory` the session's own, and `policy` how its user code is kept. `lose` ends the runner
    as one that is lost, which is not told as an engine that does not start.
    """

    def __init__(
        self,
        *,
        tasks: asyncio.TaskGroup,
        processes: Processes,
        scratch: Path,
        policy: Policy,
        directory: Path,
        lose: Callable[[], None],
        finder: EngineFinder = engines.installed_engines,
    ) -> None:
        self.session_id = ""
        self.engine_type = ""
        self._tasks = tasks
        self._processes = processes
        self._scratch = scratch
        self._policy = policy
        self._directory = directory
        self._lose = lose
        self._finder = finder
        self._output = OutputPipe()
        self._engine: type[Engine] | None = None
        self._session: Session | None = None
        self._confinement: Confinement | None = None
        self._run: Run | None = None
        self._closes = False

    @property
    def is_spent(self) -> bool:
        """Whether the engine has ended between runs, or none can start: no run can follow."""
        if self._session is None:
            return not self._processes.can_spawn
        return self.run is None and not self._is_usable(self._session)

    @property
    def run(self) -> Run | None:
        """The run that goes on, or whose events are not all acknowledged."""
        return None if self._run is None or self._run.events.finished else self._run

    def _is_usable(self, session: Session) -> bool:
        return session.usable and not (self._run is not None and self._run.left_code)

    async def open(
        self,
        *,
        session_id: str,
        engine_type: str,
        user: str,
        working_directory: str,
        environment: Mapping[str, str],
        options: Mapping[str, str],
        secrets: Mapping[str, str],
    ) -> str:
        """Starts the engine and tells its version.

        Raises:
            WrongState: there is a session already.
            InvalidRequest: the working directory is none, or the user has no account here.
            DirectoryUnavailable: the working directory is read-only.
            InvalidOption: the engine or an option is not known, or a value is refused.
            EngineUnavailable: the engine does not start.
        """
        if self._engine is not None:
            raise WrongState(f"this runner has the session {self.session_id} already")
        engine = engines.find_engine(engine_type, self._finder)
        engine.check_options(Scope.STARTUP, options)
        confinement = self._confine(user, _directory("working_directory", working_directory))
        await asyncio.to_thread(confinement.prepare)
        confinement.give_output(self._output.writer)
        self._processes.confinement = self._confinement = confinement
        context = SessionContext(
            session_id=session_id,
            user=user,
            working_directory=confinement.working_directory,
            environment=dict(environment),
            options=dict(options),
            scratch=self._scratch,
            output=self._output.writer,
            processes=self._processes,
            confinement=confinement,
            secrets=dict(secrets),
        )
        self._engine, self.session_id, self.engine_type = engine, session_id, engine_type
        try:
            version = await asyncio.to_thread(engine.version)
            self._session = await engine().open(context)
        except EngineUnavailable as error:
            if not self._processes.can_spawn:
                self._lose()
            printed = self._output.discard().decode(errors="replace").strip()
            raise EngineUnavailable(
                f"{error}; it printed: {printed}" if printed else str(error)
            ) from None
        finally:
            if self._session is None:
                self._engine, self.session_id, self.engine_type = None, "", ""
                await self._processes.kill()
        return version

    def _confine(self, user: str, working_directory: Path) -> Confinement:
        try:
            account = self._policy.account(user)
        except NoAccount as error:
            raise InvalidRequest(str(error)) from None
        return Confinement(
            self._policy,
            account=account,
            directory=self._directory,
            scratch=self._scratch,
            working_directory=working_directory,
        )

    def start(self, request: RunRequest) -> None:
        """Starts a run; one that was started already changes nothing.

        Raises:
            WrongState: there is no session that can take it now.
            InvalidRequest: the run type is not the engine's, or the result directory is none.
            DirectoryUnavailable: the result directory is read-only.
            InvalidOption: an option is not known, or a value is refused.
        """
        if self._run is not None and self._run.request.run_id == request.run_id:
            return
        if self._session is None or self._engine is None or self._confinement is None:
            raise WrongState("open a session before a run")
        if (run := self.run) is not None:
            raise WrongState(
                f"the run {run.request.run_id} goes on, or its events are not acknowledged"
            )
        if self._closes or not self._is_usable(self._session):
            raise WrongState("the engine of this session has ended; open another session")
        if request.run_type not in self._engine.run_types:
            names = ", ".join(self._engine.run_types)
            raise InvalidRequest(
                f"the engine {self.engine_type} runs {names}, not {request.run_type!r}"
            )
        self._engine.check_options(Scope.RUNTIME, request.options)
        if self._engine.has_results:
            _directory("result_directory", str(request.result_directory))
        self._output.discard()
        self._run = Run(request, self._session, self._output, self._processes, self._confinement)
        self._tasks.create_task(self._run.execute())

    def find_run(self, run_id: str) -> Run:
        """The run of this name, which may have ended.

        Raises:
            UnknownRun: it is not the session's newest run.
        """
        if self._run is None or self._run.request.run_id != run_id:
            raise UnknownRun(f"this session has no run {run_id!r}")
        return self._run

    def interrupt(self, run_id: str, grace: float) -> None:
        """Begins to end a run.

        Raises:
            UnknownRun: it is not the session's newest run.
        """
        self._tasks.create_task(self.find_run(run_id).interrupt(grace))

    async def close(self) -> None:
        """Ends the session and whatever runs in it; none can begin from then on."""
        self._closes = True
        if self._run is not None:
            await self._run.close()
            self._run.events.abandon()
        await self._processes.kill()
        if self._session is not None:
            await self._session.close()


def _directory(name: str, text: str) -> Path:
    path = Path(text)
    if path.is_dir() and os.statvfs(path).f_flag & os.ST_RDONLY:
        raise DirectoryUnavailable(f"{name} is on a read-only file system: {text!r}")
    if not path.is_absolute() or not os.access(path, os.W_OK | os.X_OK) or not path.is_dir():
        raise InvalidRequest(f"{name} must be an existing directory that can be written: {text!r}")
    return path
