"""What a job uses, as legacy clients read it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrance.v1 import entrance_pb2 as pb
from entrance_server.domain.job import Application, Resources
from entrance_server.rpc import yarn
from tests.unit.rpc_jobs import JOB

MACHINE = yarn.Machine(cores=4, memory_bytes=1_000)
USED = Resources(memory_bytes=250, cores=2.0, processes=3)


def test_a_local_engine_is_one_application_named_by_its_session() -> None:
    assert yarn.metrics(JOB, USED, MACHINE) == pb.YarnMetrics(
        yarn_resource=[
            pb.YarnResource(
                application_id="s-1",
                queue_name="duckdb",
                queue_memory=250,
                queue_cores=2.0,
                queue_instances=3,
            )
        ],
        core_percent=0.5,
        memory_percent=0.25,
        core_rgb="#ffff00",
        memory_rgb="#80ff00",
    )


def test_a_job_without_a_session_has_an_application_without_a_name() -> None:
    [resource] = yarn.metrics(replace(JOB, session_id=None), USED, MACHINE).yarn_resource
    assert resource.application_id == ""


def test_the_applications_of_a_cluster_are_told_each() -> None:
    applications = (
        Application("app_1", "q1", 100, 1.0, 2),
        Application("app_2", "q2", 150, 1.0, 1),
    )
    metrics = yarn.metrics(JOB, replace(USED, applications=applications), MACHINE)
    assert [
        (r.application_id, r.queue_name, r.queue_memory, r.queue_cores, r.queue_instances)
        for r in metrics.yarn_resource
    ] == [("app_1", "q1", 100, 1.0, 2), ("app_2", "q2", 150, 1.0, 1)]


def test_a_load_of_more_than_there_is_counts_as_all() -> None:
    used = Resources(memory_bytes=5_000, cores=9.0, processes=1)
    metrics = yarn.metrics(JOB, used, MACHINE)
    assert (metrics.core_percent, metrics.memory_percent) == (1.0, 1.0)


@pytest.mark.parametrize(("load", "colour"), [(0, "#00ff00"), (0.5, "#ffff00"), (1, "#ff0000")])
def test_a_load_goes_from_green_over_yellow_to_red(load: float, colour: str) -> None:
    assert yarn.colour(load) == colour


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_higher_load_is_never_greener(one: float, other: float) -> None:
    low, high = (yarn.colour(load) for load in sorted((one, other)))
    assert int(low[1:3], 16) <= int(high[1:3], 16)
    assert int(low[3:5], 16) >= int(high[3:5], 16)
