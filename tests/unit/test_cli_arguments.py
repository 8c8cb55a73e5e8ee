"""How texts of repeatable options are read."""

from __future__ import annotations

import pytest

from entrance.cli import arguments
from entrance.cli.problems import Problem
from entrance.client import JobStatus


def test_pairs_split_at_the_first_equals_sign() -> None:
    assert arguments.pairs("--var", ["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize("text", ["a", "=1", ""])
def test_what_is_no_pair_is_refused_with_the_option(text: str) -> None:
    with pytest.raises(Problem, match=f"--var takes NAME=VALUE, and '{text}' is none"):
        arguments.pairs("--var", [text])


def test_choices_are_taken_in_any_case() -> None:
    assert arguments.choices("--status", JobStatus, ["running", "WAITFORRETRY"]) == [
        JobStatus.RUNNING,
        JobStatus.WAIT_FOR_RETRY,
    ]


def test_an_unknown_choice_is_refused_with_those_there_are() -> None:
    with pytest.raises(Problem, match=r"Inited, .*Timeout, and 'done' is none"):
        arguments.choices("--status", JobStatus, ["done"])
