"""The calls with one answer: each as its request and how the answer is read."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypedDict, TypeVar

from entrance.client import errors, models, wire
from entrance.v1 import entrance_pb2 as pb

T = TypeVar("T")

RESULT_SETS_PER_PAGE = 1_000
ROWS_PER_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A call: the RPC's name, the request, and what the caller gets of the answer.

    `repeatable` says that a second try does no harm when the first one's answer was lost.
    """

    rpc: str
    request: Any
    read: Callable[[Any], T]
    repeatable: bool = True


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; the token is empty on the last one."""

    items: Sequence[T]
    next_token: str


Paging = Callable[[str], Call[Page[T]]]
"""The call for the page that a token names; "" names the first."""


class SubmitOptions(TypedDict, total=False):
    """What a submit may say beside the code and its engine.

    Attributes:
        run_type: The dialect of the code. Unset: the engine's first one.
        creator: The application that it comes from; jobs of one user, creator and engine share
            limits and sessions. Unset: `IDE`.
        variables: Values for `${name}` in the code.
        params: Settings of the engine; a plain mapping means those that are read for each run.
        labels: Further labels, which are kept and shown.
        source: Where the code came from, such as `scriptPath`; kept and shown.
        execute_user: Whose job it is. Unset: the caller's; another one needs an administrator.
        request_id: The same id gives the same job, so that sending twice does no harm. Unset: a new
            one, which makes the client's own retries safe.
        priority: Jobs of a group with a higher one start first; from -100 to 100. Unset: 0.
    """

    run_type: str | None
    creator: str | None
    variables: Mapping[str, str]
    params: models.JobParams | Mapping[str, str]
    labels: Mapping[str, str]
    source: Mapping[str, str]
    execute_user: str | None
    request_id: str | None
    priority: int


@dataclass(frozen=True, slots=True)
class Submission:
    """A submit with the defaults filled in."""

    code: str
    engine: str
    run_type: str | None = None
    creator: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    params: models.JobParams | Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)
    execute_user: str | None = None
    request_id: str | None = None
    priority: int = 0

    def all_params(self) -> models.JobParams:
        """The parameters, with settings that came as a plain mapping taken as `runtime`."""
        given = self.params
        params = given if isinstance(given, models.JobParams) else models.JobParams(runtime=given)
        return models.JobParams(
            variable={**params.variable, **self.variables},
            startup=params.startup,
            runtime=params.runtime,
            special=params.special,
        )

    def all_labels(self) -> dict[str, str]:
        """The labels, with engine and creator among them."""
        labels = {**self.labels, "engineType": self.engine}
        if self.creator is not None:
            labels["creator"] = self.creator
        return labels


def submit(submission: Submission, engines: Sequence[models.Engine]) -> Call[tuple[str, int]]:
    """Submits a job; the answer is its execID and taskID.

    Args:
        submission: The job.
        engines: Those there are, when the submission names no run type.

    Raises:
        InvalidArgument: the run type is not named, and neither is one of the engines.
    """
    run_type = submission.run_type or _first_run_type(engines, submission.engine)
    request = pb.SubmitRequest(
        execution_content=pb.ExecutionContent(code=submission.code, run_type=run_type),
        params=wire.params_message(submission.all_params()),
        labels=submission.all_labels(),
        source=submission.source,
        request_id=submission.request_id or str(uuid.uuid4()),
        priority=submission.priority,
        execute_user=submission.execute_user or "",
    )
    return Call("Submit", request, _ids)


def _first_run_type(engines: Sequence[models.Engine], name: str) -> str:
    known = {engine.engine_type: engine for engine in engines}
    engine = known.get(name) or known.get(name.partition("-")[0])
    if engine is None or not engine.run_types:
        message = f"There is no engine '{name}'; there are: {', '.join(known) or 'none'}."
        violation = errors.FieldViolation("labels.engineType", message)
        raise errors.InvalidArgument(message, reason="UNKNOWN_ENGINE", violations=[violation])
    return engine.run_types[0]


def list_engines() -> Call[tuple[models.Engine, ...]]:
    """All engines."""
    return Call(
        "ListEngines",
        pb.ListEnginesRequest(),
        lambda answer: tuple(wire.engine(each) for each in answer.engines),
    )


def ids(id: str) -> Call[tuple[str, int]]:
    """Both ids of a job."""
    return Call("Status", pb.StatusRequest(id=id), _ids)


def status(id: str) -> Call[models.JobStatus]:
    """A job's status."""
    return Call("Status", pb.StatusRequest(id=id), lambda answer: wire.status(answer.status))


def get_job(id: str) -> Call[models.Job]:
    """A job with everything about it."""
    return Call("GetJob", pb.GetJobRequest(id=id), lambda answer: wire.job(answer.job))


def log(id: str, from_line: int, size: int) -> Call[models.LogPage]:
    """Lines of a log."""
    request = pb.LogRequest(id=id, from_line=from_line, size=size, distinct_level=True)
    return Call("Log", request, lambda answer: wire.log_page(answer, from_line=from_line))


def kill(id: str) -> Call[None]:
    """Ends a job; not repeatable, since the second call would find it ended."""
    return Call("Kill", pb.KillRequest(id=id), _nothing, repeatable=False)


def kill_jobs(ids: Sequence[str]) -> Call[tuple[models.KillOutcome, ...]]:
    """Ends several jobs."""
    return Call(
        "KillJobs",
        pb.KillJobsRequest(id_list=ids, task_id_list=[0] * len(ids)),
        lambda answer: tuple(wire.kill_outcome(each) for each in answer.messages),
        repeatable=False,
    )


def pause(id: str) -> Call[None]:
    """Holds or freezes a job."""
    return Call("Pause", pb.PauseRequest(id=id), _nothing)


def resume(id: str) -> Call[None]:
    """Lets a paused job go on."""
    return Call("Resume", pb.ResumeRequest(id=id), _nothing)


class JobFilters(TypedDict, total=False):
    """Which jobs to list; what is set must all hold.

    Attributes:
        statuses: Jobs in any of these. Unset: in any.
        execute_user: Whose jobs. Unset: the caller's, or everybody's for an administrator.
        creator: The application that they came from. Unset: any.
        engine_type: The engine. Unset: any.
        create_time_from: Accepted at or after. Unset: ever.
        create_time_to: Accepted before. Unset: until now.
        page_size: Jobs for each call, at most 1,000. Unset: the service decides.
    """

    statuses: Sequence[models.JobStatus]
    execute_user: str | None
    creator: str | None
    engine_type: str | None
    create_time_from: datetime | None
    create_time_to: datetime | None
    page_size: int


def jobs(filters: JobFilters) -> Paging[models.Job]:
    """Lists jobs, page by page."""
    query = pb.ListJobsRequest(
        page_size=filters.get("page_size", 0),
        statuses=[wire.STATUS_NUMBER[status] for status in filters.get("statuses", ())],
        execute_user=filters.get("execute_user") or "",
        creator=filters.get("creator") or "",
        engine_type=filters.get("engine_type") or "",
        create_time_from=wire.timestamp(filters.get("create_time_from")),
        create_time_to=wire.timestamp(filters.get("create_time_to")),
    )

    def page(token: str) -> Call[Page[models.Job]]:
        request = pb.ListJobsRequest(page_token=token)
        request.MergeFrom(query)
        return Call("ListJobs", request, _jobs_of)

    return page


def _jobs_of(answer: pb.ListJobsResponse) -> Page[models.Job]:
    return Page([wire.job(each) for each in answer.jobs], answer.next_page_token)


def result_sets(id: str) -> Paging[models.ResultSet]:
    """Lists a job's result sets, page by page."""

    def page(token: str) -> Call[Page[models.ResultSet]]:
        request = pb.ListResultsRequest(id=id, page_size=RESULT_SETS_PER_PAGE, page_token=token)
        return Call("ListResults", request, _result_sets_of)

    return page


def _result_sets_of(answer: pb.ListResultsResponse) -> Page[models.ResultSet]:
    return Page([wire.result_set(each) for each in answer.result_sets], answer.next_page_token)


def result_set(id: str, index: int) -> Call[models.ResultSet]:
    """What one result set is."""
    request = pb.ReadResultRequest(id=id, index=index, page_size=1)
    return Call("ReadResult", request, lambda answer: wire.result_set(answer.result_set))


def rows(id: str, index: int) -> Paging[models.Row]:
    """Reads a table's rows, page by page."""

    def page(token: str) -> Call[Page[models.Row]]:
        request = pb.ReadResultRequest(
            id=id, index=index, page_size=ROWS_PER_PAGE, page_token=token
        )
        return Call("ReadResult", request, _rows_of)

    return page


def _rows_of(answer: pb.ReadResultResponse) -> Page[models.Row]:
    return Page([wire.row(each) for each in answer.rows], answer.next_page_token)


def _ids(answer: pb.SubmitResponse | pb.StatusResponse) -> tuple[str, int]:
    return answer.exec_id, answer.task_id


def _nothing(_answer: object) -> None:
    return None
