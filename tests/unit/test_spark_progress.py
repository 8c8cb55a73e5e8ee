"""Stages of Spark as parts of a run's progress, and versions that fit together."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from entrance_runner.engine import Part
from entrance_runner.engines.spark_progress import MAX_STAGES, Stages
from entrance_runner.engines.spark_versions import version_problem


@dataclass
class Stage:
    stage_id: int
    num_tasks: int
    num_completed_tasks: int
    done: bool = False


def test_running_tasks_belong_to_the_first_stages_that_have_some_left() -> None:
    stages = Stages()
    stages.report([Stage(1, 4, 4, done=True), Stage(2, 4, 3), Stage(3, 4, 0)], 3)
    assert stages.parts == (
        Part("stage-1", 4, total=4),
        Part("stage-2", 3, running=1, total=4),
        Part("stage-3", 0, running=2, total=4),
    )
    assert stages.fraction == 7 / 12
    assert stages.running_tasks == 3


def test_tasks_that_were_tried_again_count_once() -> None:
    stages = Stages()
    stages.report([Stage(1, 2, 3)], 1)
    assert stages.parts == (Part("stage-1", 2, total=2),)
    assert stages.fraction == 1


def test_stages_of_earlier_operations_stay_and_the_fraction_is_of_the_newest() -> None:
    stages = Stages()
    stages.report([Stage(1, 2, 1)], 1)
    stages.settle(succeeded=True)
    assert stages.fraction == 0
    stages.report([Stage(2, 4, 1)], 2)
    assert [part.id for part in stages.parts] == ["stage-1", "stage-2"]
    assert stages.parts[0] == Part("stage-1", 2, total=2)
    assert stages.fraction == 1 / 4


def test_what_ran_when_a_run_failed_has_failed() -> None:
    stages = Stages()
    stages.report([Stage(1, 4, 1)], 2)
    stages.settle(succeeded=False)
    assert stages.parts == (Part("stage-1", 1, failed=2, total=4),)
    assert stages.running_tasks == 0


def test_only_the_newest_stages_are_kept() -> None:
    stages = Stages()
    for number in range(MAX_STAGES + 10):
        stages.report([Stage(number, 1, 1)], 0)
    assert len(stages.parts) == MAX_STAGES
    assert stages.parts[-1].id == f"stage-{MAX_STAGES + 9}"


@pytest.mark.parametrize("server", ["4.0.0", "4.3.0", "4.9.1-amzn-0"])
def test_versions_of_one_major_fit(server: str) -> None:
    assert version_problem(client="4.2.0", server=server) is None


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("3.5.9", "it is version 3.5.9, and the client here 4.2.0; install a client of version 3"),
        ("", "it calls its version ''"),
    ],
)
def test_other_versions_are_told_with_what_to_do(server: str, said: str) -> None:
    problem = version_problem(client="4.2.0", server=server)
    assert problem is not None
    assert said in problem
