"""The rows of the table by name; each measures some figures in as many rounds as it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.figures import Figure
from bench.rows import (
    echo,
    followers,
    history,
    idle,
    logs,
    memory,
    recovery,
    results,
    short_jobs,
    starts,
    status,
    stores,
    submits,
)

Row = Callable[[int], Sequence[Figure]]

ROWS: Mapping[str, Row] = {
    "grpc-status": status.by_grpc,
    "rest-status": status.by_rest,
    "rest-status-envoy": status.by_rest_beside_envoy,
    "submit-one": submits.one_client,
    "submit-many": submits.many_clients,
    "echo": echo.beside_process,
    "echo-ray": echo.beside_ray,
    "cell": echo.cell_beside_jupyter,
    "short-jobs": short_jobs.beside_pool,
    "log": logs.followed,
    "followers": followers.of_live_job,
    "idle-followers": followers.of_silent_job,
    "result": results.streamed,
    "deep-page": results.deep_page,
    "history": history.long,
    "history-postgres": history.long_on_postgresql,
    "idle": idle.queued_jobs,
    "recovery": recovery.restart,
    "memory": memory.queued_jobs,
    "memory-followers": memory.followers,
    "help": starts.help_text,
    "serve": starts.serve,
    "postgres": stores.postgres,
    "scaling": stores.scaling,
}
