"""How the processes of a session are kept from the service, from other sessions and from excess."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from entrance_runner import confine, sandbox
from entrance_runner.accounts import Account, account_of
from entrance_runner.limits import allowed_cores
from entrance_runner.starter_process import Order

SESSION_VARIABLE = "ENTRANCE_SESSION"


class Isolation(enum.StrEnum):
    """How much is kept from user code; each level has what the one before has."""

    NONE = "none"
    LIMITS = "limits"
    USER = "user"
    SANDBOX = "sandbox"


@dataclass(frozen=True, slots=True)
class Policy:
    """What an installation asks for, the same for all its sessions.

    `limits` has names of the module `resource` and numbers; `cgroup` is the session's, or empty.
    """

    level: Isolation = Isolation.NONE
    limits: Mapping[str, int] = field(default_factory=dict)
    cgroup: str = ""
    run_as: str = ""
    user_map: Mapping[str, str] = field(default_factory=dict)
    bwrap: str = ""
    network: bool = True
    readable: Sequence[Path] = ()
    hidden: Sequence[Path] = ()

    @classmethod
    def read(cls, path: Path) -> Policy:
        """Reads the file that the server wrote."""
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        level = Isolation(value.pop("level"))
        readable, hidden = (tuple(map(Path, value.pop(name))) for name in ("readable", "hidden"))
        return cls(level=level, readable=readable, hidden=hidden, **value)

    @property
    def separates_files(self) -> bool:
        """Whether user code can't reach the service's own directories."""
        return self.level in (Isolation.USER, Isolation.SANDBOX)

    def account(self, user: str) -> Account | None:
        """The account that a user's code runs as; None for the runner's own.

        Raises:
            NoAccount: the installation gives none.
        """
        if not self.separates_files or os.geteuid() != 0:
            return None
        return account_of(user, user_map=self.user_map, run_as=self.run_as)


class Confinement:
    """A policy, applied to one session.

    Args:
        policy: What the installation asks for.
        account: What the code runs as; None for the runner's own account.
        directory: The session's own, in which only the runner makes and removes something.
        scratch: The runner's own.
        working_directory: Where the code works.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        account: Account | None,
        directory: Path,
        scratch: Path,
        working_directory: Path,
    ) -> None:
        self._policy = policy
        self._account = account
        self._directory = directory
        self._scratch = scratch
        self.working_directory = working_directory
        self._results = directory / "results"
        self._temporary = directory / "tmp"
        self._private = scratch / "private"

    @property
    def is_none(self) -> bool:
        """Whether code runs as the runner itself does."""
        return self._policy.level is Isolation.NONE

    def prepare(self) -> None:
        """Makes directories, and gives the account what lies below the session's. Blocks."""
        if not self._policy.separates_files:
            return
        self._results.mkdir(exist_ok=True)
        self._results.chmod(0o711)
        self._temporary.mkdir(mode=0o700, exist_ok=True)
        if self._is_sandbox:
            self._temporary.chmod(0o1777)  # nobody outside reaches it
        if self._account:
            self._scratch.chmod(0o711)
            self.give(self._temporary)
            for path in (self.working_directory, *self.working_directory.parents):
                if path != self._directory and path.is_relative_to(self._directory):
                    self.give(path)

    def private_directory(self) -> Path:
        """A directory in the scratch one, for the code to own once `give` was called for it."""
        self._private.mkdir(mode=0o700, exist_ok=True)
        return self._private

    def give(self, path: Path) -> None:
        """Makes a path in a directory of the runner's the account's own."""
        if self._account:
            os.chown(path, self._account.uid, self._account.gid, follow_symlinks=False)

    def give_output(self, descriptor: int) -> None:
        """Lets code open its output by name, such as /dev/stderr."""
        if self._account:
            os.fchown(descriptor, self._account.uid, -1)

    @contextlib.asynccontextmanager
    async def results(self, run_id: str, directory: Path) -> AsyncIterator[Path]:
        """Where the code of a run writes results: there, or in a directory that it can reach."""
        if not self._policy.separates_files:
            yield directory
            return
        path = self._results / run_id
        path.mkdir(mode=0o700)
        self.give(path)
        try:
            yield path
        finally:
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)

    def order(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        *,
        directory: Path,
        descriptors: Sequence[int] = (),
    ) -> Order:
        """What makes the starter start a command confined; `descriptors` are passed on."""
        steps, inner = self._confined(command)
        return Order(
            inner,
            self.environment(variables) if self._is_sandbox else self._completed(variables),
            str(directory),
            steps,
            cores=allowed_cores(),
            descriptors=descriptors,
        )

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The environment for what `command` gives."""
        if self.is_none:
            return dict(variables)
        variables = self._completed(variables)
        prefixed = {confine.PREFIX + name: text for name, text in variables.items()}
        # by it the server finds the processes of a runner that was lost, those around code too
        found_by = {name: variables[name] for name in (SESSION_VARIABLE,) if name in variables}
        return {**prefixed, **found_by}

    def command(self, command: Sequence[str]) -> list[str]:
        """A command that is confined before it becomes the given one, whoever starts it."""
        if self.is_none:
            return list(command)
        steps, inner = self._confined(command)
        return [*_confine(steps), *inner]

    @property
    def _is_sandbox(self) -> bool:
        return self._policy.level is Isolation.SANDBOX

    def _confined(self, command: Sequence[str]) -> tuple[Mapping[str, Any], Sequence[str]]:
        """The steps before a command, and the command as it is started after them."""
        policy = self._policy
        if self.is_none:
            return {}, command
        first: dict[str, Any] = {"limits": dict(policy.limits), "cgroup": policy.cgroup}
        last: dict[str, Any] = {"directory": str(self.working_directory)}
        if self._account:
            last |= {"account": self._account.to_json()}
        if not self._is_sandbox:
            return {**first, **last, "locked": policy.level is Isolation.USER}, command
        # limits of an account count its processes, so they hold inside, where code runs as that
        return {**first, "last": False}, [*self._sandbox(), *_confine(last), *command]

    def _completed(self, variables: Mapping[str, str]) -> dict[str, str]:
        return {**variables, **self._own_variables()}

    def _own_variables(self) -> dict[str, str]:
        if not self._policy.separates_files:
            return {}
        inside = self._is_sandbox
        variables = {"TMPDIR": "/tmp" if inside else str(self._temporary)}
        if self._account:
            variables |= {"USER": self._account.name, "LOGNAME": self._account.name}
        has_home = self._account and not inside and os.path.isdir(self._account.home)
        home = self._account.home if self._account and has_home else str(self.working_directory)
        return {**variables, "HOME": home}

    def _sandbox(self) -> list[str]:
        return sandbox.command(
            self._policy.bwrap,
            readable=[*sandbox.python_paths(), *self._policy.readable],
            hidden=self._policy.hidden,
            own=[self._scratch],
            writable=[self.working_directory, self._results, self.private_directory()],
            temporary=self._temporary,
            network=self._policy.network,
        )


def _confine(steps: Mapping[str, Any]) -> list[str]:
    return [sys.executable, "-I", "-S", confine.__file__, confine.encoded(steps)]
