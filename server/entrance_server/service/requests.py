"""Turns a submit call into a valid job specification, or tells what is wrong with it. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from entrance_server.domain import errors
from entrance_server.domain.errors import FieldViolation
from entrance_server.domain.job import JobSpec, Principal
from entrance_server.domain.notes import Note
from entrance_server.domain.run_policy import LABEL_WRONG, RunPolicies
from entrance_server.engines.connections import Connections
from entrance_server.engines.registry import EngineInfo, EngineRegistry
from entrance_server.service import parameters
from entrance_server.service.parameters import PARAMS_WRONG
from entrance_server.service.views import SubmitCommand

DEFAULT_CREATOR = "IDE"
PRIORITY_MOST = 100
MAX_REQUEST_ID = 128  # characters
MAX_ENTRIES = 500  # entries of one map
MAX_ENTRY_BYTES = 64 * 1024  # of all names and values of one map
MAX_LISTED_BYTES = 8 * 1024  # of one that stands in every list of jobs

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@]{0,63}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")

LABELS_MISSING = 20001
NO_USER = 20005
CODE_BLANK = 20007


class RequestParser:
    """Checks requests against the engines and limits of this installation."""

    def __init__(
        self,
        *,
        engines: EngineRegistry,
        connections: Connections,
        policies: RunPolicies,
        max_code_bytes: int,
    ) -> None:
        self._engines = engines
        self._connections = connections
        self._policies = policies
        self._max_code_bytes = max_code_bytes

    def parse(self, principal: Principal, command: SubmitCommand) -> JobSpec:
        """The specification that a command asks for.

        Raises:
            InvalidRequest: something is missing or wrong.
            PermissionDenied: the caller may not submit for that user.
        """
        user = _execute_user(principal, command.execute_user)
        engine = self._engine(command.labels)
        creator = _creator(user, command.labels)
        self._check_code(command.code)
        _check_run_type(engine, command.run_type)
        _check_rest(command)
        self._policies.of(command.labels)
        parameters.check(engine, command.params, user, self._connections)
        labels = dict(command.labels)
        labels.pop("creator", None)
        labels["userCreator"] = f"{user}-{creator}"
        return JobSpec(
            submit_user=principal.user,
            execute_user=user,
            creator=creator,
            engine_type=engine.engine_type,
            run_type=command.run_type,
            code=command.code,
            params=command.params,
            labels=labels,
            source={**command.source, **({"requestIP": command.peer} if command.peer else {})},
            priority=command.priority,
            request_id=command.request_id or None,
        )

    def notes(self, spec: JobSpec) -> tuple[Note, ...]:
        """Lines for the log of a job with this specification."""
        engine = self._engines.find(spec.engine_type)
        return parameters.notes(engine, spec.params) if engine else ()

    def _engine(self, labels: Mapping[str, str]) -> EngineInfo:
        label = labels.get("engineType", "")
        if not label.strip():
            raise _invalid(
                "labels.engineType",
                f"The request names no engine; name one of: {self._offered()}.",
                reason="ENGINE_TYPE_MISSING",
                err_code=LABELS_MISSING,
            )
        engine = self._engines.find_label(label)
        if engine is None:
            raise _invalid(
                "labels.engineType",
                f"There is no engine '{_short(label)}'; this installation has: {self._offered()}.",
                reason="UNKNOWN_ENGINE",
                err_code=LABEL_WRONG,
            )
        return engine

    def _offered(self) -> str:
        return ", ".join(engine.engine_type for engine in self._engines.list())

    def _check_code(self, code: str) -> None:
        if not code.strip():
            raise _invalid(
                "executionContent.code",
                "The code is blank; send the code to run.",
                reason="CODE_BLANK",
                err_code=CODE_BLANK,
            )
        if "\0" in code:
            raise _invalid(
                "executionContent.code",
                f"The code has a NUL character at position {code.index(chr(0))}; remove it.",
                reason="CODE_HAS_NUL",
            )
        size = len(code.encode())
        if size > self._max_code_bytes:
            raise _invalid(
                "executionContent.code",
                f"The code has {size} bytes; at most {self._max_code_bytes} are taken.",
                reason="CODE_TOO_LARGE",
            )


def _execute_user(principal: Principal, wanted: str) -> str:
    user = wanted or principal.user
    if user != principal.user and not principal.is_admin:
        raise errors.PermissionDenied(
            f"Only an administrator may submit for another user; leave executeUser out to run as "
            f"{principal.user}.",
            reason="EXECUTE_USER_DENIED",
        )
    if not _USER.fullmatch(user):
        raise _invalid(
            "executeUser",
            f"'{_short(user)}' is no user name; it takes letters, digits and _ . @ - , 64 at most.",
            reason="WRONG_USER",
            err_code=NO_USER,
        )
    return user


def _creator(user: str, labels: Mapping[str, str]) -> str:
    label = labels.get("userCreator")
    if label is None:
        creator = labels.get("creator", "") or DEFAULT_CREATOR
    else:
        named, _, creator = label.rpartition("-")
        if named != user:
            raise _invalid(
                "labels.userCreator",
                f"The label userCreator is '{_short(label)}', but the job runs as {user}; send "
                f"'{user}-<creator>', or leave it out.",
                reason="WRONG_USER_CREATOR",
                err_code=LABEL_WRONG,
            )
    if not _NAME.fullmatch(creator):
        raise _invalid(
            "labels.userCreator",
            f"'{_short(creator)}' is no creator; it takes letters, digits and _ . @ , 64 at most.",
            reason="WRONG_USER_CREATOR",
            err_code=LABEL_WRONG,
        )
    return creator


def _check_run_type(engine: EngineInfo, run_type: str) -> None:
    if run_type in engine.run_types:
        return
    offered = ", ".join(engine.run_types)
    said = f"'{_short(run_type)}' is no run type of" if run_type else "The run type is missing for"
    raise _invalid(
        "executionContent.runType",
        f"{said} engine {engine.engine_type}; send one of: {offered}.",
        reason="WRONG_RUN_TYPE",
        err_code=LABEL_WRONG if run_type else LABELS_MISSING,
    )


def _check_rest(command: SubmitCommand) -> None:
    if abs(command.priority) > PRIORITY_MOST:
        raise _invalid(
            "priority",
            f"The priority is {command.priority}; send -{PRIORITY_MOST} to {PRIORITY_MOST}.",
            reason="WRONG_PRIORITY",
        )
    if len(command.request_id) > MAX_REQUEST_ID or "\0" in command.request_id:
        raise _invalid(
            "requestID",
            f"The request id has {len(command.request_id)} characters; send at most "
            f"{MAX_REQUEST_ID}, without NUL.",
            reason="WRONG_REQUEST_ID",
        )
    for path, entries in (("labels", command.labels), ("source", command.source)):
        _check_map(path, entries, MAX_LISTED_BYTES)
    for part in dataclasses.fields(command.params):
        path = "params.variable" if part.name == "variable" else f"params.configuration.{part.name}"
        _check_map(path, getattr(command.params, part.name), MAX_ENTRY_BYTES)


def _check_map(path: str, entries: Mapping[str, str], most_bytes: int) -> None:
    size = sum(len(name.encode()) + len(value.encode()) for name, value in entries.items())
    if len(entries) > MAX_ENTRIES or size > most_bytes:
        raise _invalid(
            path,
            f"{path} has {len(entries)} entries of {size} bytes; at most {MAX_ENTRIES} of "
            f"{most_bytes} bytes in all are taken.",
            reason="PARAMS_TOO_LARGE",
            err_code=PARAMS_WRONG,
        )
    for name, value in entries.items():
        if not name or "\0" in name or "\0" in value:
            raise _invalid(
                path,
                f"{path} has an empty name, or a NUL character at '{_short(name)}'; remove it.",
                reason="PARAMS_UNREADABLE",
                err_code=PARAMS_WRONG,
            )


def _invalid(
    field: str, message: str, *, reason: str, err_code: int | None = None
) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        message, reason=reason, err_code=err_code, violations=[FieldViolation(field, message)]
    )


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:80] + "…"
