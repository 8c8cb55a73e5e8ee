"""What callers ask for: from the public proto to the service's terms.

The service validates values. Here are refused only those that have no counterpart in its terms.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from google.protobuf import timestamp_pb2

from entrance.v1 import entrance_pb2 as pb
from entrance_server.domain.errors import FieldViolation, InvalidRequest
from entrance_server.domain.job import JobParams
from entrance_server.logs.levels import LogLevel
from entrance_server.rpc import enums
from entrance_server.service.views import SubmitCommand
from entrance_server.store.port import JobFilter

Number = TypeVar("Number", bound=int)
Value = TypeVar("Value")


def submit_command(
    request: pb.ExecuteRequest | pb.SubmitRequest | pb.PreviewRequest, *, address: str
) -> SubmitCommand:
    """The job that a call from an address asks for."""
    command = SubmitCommand(
        code=request.execution_content.code,
        run_type=request.execution_content.run_type,
        params=job_params(request.params),
        labels=dict(request.labels),
        execute_user="" if isinstance(request, pb.ExecuteRequest) else request.execute_user,
        peer=address,
    )
    if isinstance(request, pb.PreviewRequest):
        return command
    return dataclasses.replace(
        command,
        source=dict(request.source),
        request_id=request.request_id,
        priority=request.priority,
    )


def job_params(params: pb.JobParams) -> JobParams:
    """Variables and settings."""
    configuration = params.configuration
    return JobParams(
        variable=dict(params.variable),
        startup=dict(configuration.startup),
        runtime=dict(configuration.runtime),
        special=dict(configuration.special),
    )


def job_filter(request: pb.ListJobsRequest) -> JobFilter:
    """Which jobs to list.

    Raises:
        InvalidRequest: a status or a time is none that exists.
    """
    return JobFilter(
        statuses=_known(request.statuses, enums.STATUS_FROM_PROTO, "statuses"),
        execute_user=request.execute_user or None,
        creator=request.creator or None,
        engine_type=request.engine_type or None,
        create_time_from=(
            time_of(request.create_time_from, "createTimeFrom")
            if request.HasField("create_time_from")
            else None
        ),
        create_time_to=(
            time_of(request.create_time_to, "createTimeTo")
            if request.HasField("create_time_to")
            else None
        ),
    )


def log_levels(request: pb.StreamLogRequest) -> frozenset[LogLevel]:
    """Which levels to send; none means all.

    Raises:
        InvalidRequest: a level is none that exists.
    """
    return _known(request.levels, enums.LEVEL_FROM_PROTO, "levels")


def log_size(request: pb.LogRequest) -> int | None:
    """How many lines at most, or None where the caller leaves it to the service."""
    return request.size if request.HasField("size") else None


def distinct_level(request: pb.LogRequest) -> bool:
    """Whether to split the log by level; so unless the caller says no."""
    return request.distinct_level if request.HasField("distinct_level") else True


def _known(
    numbers: Iterable[Number], table: Mapping[Number, Value], field: str
) -> frozenset[Value]:
    wanted = frozenset(numbers)
    unknown = sorted(wanted - table.keys())
    if unknown:
        raise refusal(field, f"{unknown[0]} is none of the values {sorted(table)}")
    return frozenset(table[number] for number in wanted)


def time_of(timestamp: timestamp_pb2.Timestamp, field: str) -> datetime:
    """An aware time.

    Raises:
        InvalidRequest: there is no such time.
    """
    try:
        return timestamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise refusal(
            field, "must be between the years 1 and 9999, with nanos from 0 to 999,999,999"
        ) from error


def refusal(field: str, description: str) -> InvalidRequest:
    """The refusal of a request for one field, named as callers spell it."""
    return InvalidRequest(
        f"{field}: {description}.", violations=[FieldViolation(field, description)]
    )
