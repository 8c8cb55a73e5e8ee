"""What the sync and the async client share: settings, and decisions that need no call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

import grpc

from entrance import hosts, targets
from entrance.client import discovery, errors, failures, models
from entrance.client.follows import JobFollow
from entrance.client.retries import Attempts, Retries
from entrance.tls import TlsError
from entrance.v1 import entrance_pb2_grpc, operation_pb2_grpc, users_pb2_grpc

DEFAULT_DEADLINE = 30.0  # seconds
MAX_MESSAGE_BYTES = 64 * 1024 * 1024

# A channel that lost its server looks for it again at once, and then at least every two seconds.
_CHANNEL_OPTIONS = {
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 2_000,
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.keepalive_time_ms": 60_000,
    "grpc.keepalive_timeout_ms": 20_000,
    "grpc.http2.max_pings_without_data": 0,
}

MEDIA = tuple(set(models.ResultType) - {models.ResultType.TABLE})

Metadata = tuple[tuple[str, str], ...]


def channel_options(target: str) -> Sequence[tuple[str, int | str]]:
    """The options of a channel; to this machine it never goes through a proxy."""
    options = {
        **_CHANNEL_OPTIONS,
        "grpc.enable_http_proxy": int(not hosts.is_local(target)),
        **targets.options(target),
    }
    return tuple(options.items())


def channel_target(target: str) -> str:
    """What a channel is made with; blocks while names of several servers are looked up.

    Raises:
        InvalidArgument: the list of servers can't be used.
    """
    try:
        return targets.for_channel(target)
    except targets.TargetError as error:
        raise errors.InvalidArgument(f"{error}", reason="WRONG_TARGET") from None


class ClientOptions(TypedDict, total=False):
    """How a client calls.

    Attributes:
        token: What the calls identify themselves with. Unset: they carry none and are refused.
        deadline: Seconds for each call with its retries; following has none. None: as long as it
            takes. Unset: 30.
        retries: What to do while the service is away. Unset: as `Retries` has it.
        credentials: TLS for the connection; `entrance.tls` makes it from files. Unset: a plain one,
            for the same machine or a network that is trusted, since the token goes over it too.
    """

    token: str | None
    deadline: float | None
    retries: Retries
    credentials: grpc.ChannelCredentials | None


@dataclass(frozen=True, slots=True)
class Settings:
    """How a client calls, with the defaults filled in."""

    target: str
    token: str | None = None
    deadline: float | None = DEFAULT_DEADLINE
    retries: Retries = field(default_factory=Retries)
    credentials: grpc.ChannelCredentials | None = None

    @property
    def metadata(self) -> Metadata:
        """What every call carries."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def attempts(self, repeatable: bool) -> Attempts:
        """The tries of a call with one answer."""
        most = self.retries.calls if repeatable else 0
        return Attempts(self.retries, most=most, deadline=self.deadline)

    def stream_attempts(self, deadline: float | None) -> Attempts:
        """The tries of a stream."""
        return Attempts(self.retries, most=self.retries.streams, deadline=deadline)

    def failure(self, error: grpc.RpcError) -> errors.EntranceError:
        """The exception for a call that failed."""
        return failures.from_call(error, target=self.target)  # type: ignore[arg-type]


def connection(target: str | None, options: ClientOptions) -> tuple[str, ClientOptions]:
    """A target and options, with what can be found out in the place of what is not said.

    Raises:
        EntranceError: a file that is there can't be read, or a token would go to another machine in
            clear.
    """
    given = options.get("credentials")
    access = discovery.discover(target, options.get("token"), insecure=given is not None)
    return access.target, {
        **options,
        "token": access.token,
        "credentials": given or credentials_of(access),
    }


def credentials_of(access: discovery.Access) -> grpc.ChannelCredentials | None:
    """What a channel is made with; None is a plain one.

    Raises:
        EntranceError: a certificate, its key or the authorities can't be used.
    """
    try:
        return access.tls.read().channel_credentials() if access.tls else None
    except TlsError as error:
        raise errors.EntranceError(str(error), reason="WRONG_TLS") from None


def methods_of(channel: Any) -> dict[str, Any]:
    """The RPCs of all services by name; no two services share one."""
    stubs = (
        entrance_pb2_grpc.EntranceServiceStub(channel),
        operation_pb2_grpc.OperationServiceStub(channel),
        users_pb2_grpc.AdministrationServiceStub(channel),
    )
    return {name: method for stub in stubs for name, method in vars(stub).items()}


def still_going(
    follow: JobFollow, error: errors.DeadlineExceeded, timeout: float | None
) -> errors.DeadlineExceeded:
    """The error for a job that did not end in time."""
    if follow.last is None or timeout is None:
        return error
    return errors.DeadlineExceeded(
        f"job {follow.last.task_id} is still {follow.last.status} after {timeout:g} seconds"
    )


def ended(follow: JobFollow, *, check: bool) -> models.Job:
    """The job at its end.

    Raises:
        JobFailed: a success is asked for, and it is none.
    """
    job = follow.last
    if job is None:
        raise follow.close()
    if check and job.status is not models.JobStatus.SUCCEED:
        raise errors.JobFailed(job)
    return job


def no_result(error: errors.NotFound, job: models.Job | None) -> errors.EntranceError:
    """The error for a result that is not there: that the job failed, when it did."""
    if job is not None and job.status is not models.JobStatus.SUCCEED:
        return errors.JobFailed(job)
    return error


def of_type(info: models.ResultSet, *types: models.ResultType) -> None:
    """Checks that a result set can be read in a way that fits some types alone.

    Raises:
        InvalidArgument: it is of another type.
    """
    if info.type not in types:
        way = "to_arrow, batches or rows" if info.type is models.ResultType.TABLE else "bytes"
        raise errors.InvalidArgument(
            f"result {info.index} is of type {info.type}; read it by {way}",
            reason="WRONG_RESULT_TYPE",
        )
