"""The enums of the public proto and of the domain, beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from entrance.v1 import entrance_pb2 as pb
from entrance_server.domain.job import ResultType
from entrance_server.domain.status import JobStatus
from entrance_server.logs.levels import LogLevel

STATUS_TO_PROTO: Final[Mapping[JobStatus, pb.JobStatus.ValueType]] = {
    JobStatus.INITED: pb.JOB_STATUS_INITED,
    JobStatus.WAIT_FOR_RETRY: pb.JOB_STATUS_WAIT_FOR_RETRY,
    JobStatus.SCHEDULED: pb.JOB_STATUS_SCHEDULED,
    JobStatus.RUNNING: pb.JOB_STATUS_RUNNING,
    JobStatus.SUCCEED: pb.JOB_STATUS_SUCCEED,
    JobStatus.FAILED: pb.JOB_STATUS_FAILED,
    JobStatus.CANCELLED: pb.JOB_STATUS_CANCELLED,
    JobStatus.TIMEOUT: pb.JOB_STATUS_TIMEOUT,
}
STATUS_FROM_PROTO: Final = {number: status for status, number in STATUS_TO_PROTO.items()}

LEVEL_TO_PROTO: Final[Mapping[LogLevel, pb.LogLevel.ValueType]] = {
    LogLevel.INFO: pb.LOG_LEVEL_INFO,
    LogLevel.WARN: pb.LOG_LEVEL_WARN,
    LogLevel.ERROR: pb.LOG_LEVEL_ERROR,
}
LEVEL_FROM_PROTO: Final = {number: level for level, number in LEVEL_TO_PROTO.items()}

RESULT_TYPE_TO_PROTO: Final[Mapping[ResultType, pb.ResultType.ValueType]] = {
    ResultType.TABLE: pb.RESULT_TYPE_TABLE,
    ResultType.TEXT: pb.RESULT_TYPE_TEXT,
    ResultType.PICTURE: pb.RESULT_TYPE_PICTURE,
    ResultType.HTML: pb.RESULT_TYPE_HTML,
}
