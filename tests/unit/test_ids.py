"""The two names of a job, and what is refused as neither."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrance_server.domain import errors, ids

TASK_IDS = st.integers(1, ids.TASK_ID_MAX)
NAMES = st.text(min_size=1, max_size=64)


@given(
    instance=st.text(min_size=1, max_size=ids.MAX_INSTANCE_LENGTH),
    creator=NAMES,
    user=NAMES,
    task_id=TASK_IDS,
)
def test_an_exec_id_leads_back_to_its_task(
    instance: str, creator: str, user: str, task_id: int
) -> None:
    assert ids.task_id_of(str(ids.ExecId(instance, creator, user, task_id))) == task_id


@given(TASK_IDS)
def test_a_task_id_is_read_as_decimal(task_id: int) -> None:
    assert ids.task_id_of(str(task_id)) == task_id


def test_an_exec_id_is_written_as_documented() -> None:
    exec_id = str(ids.ExecId("here:9104", "IDE", "alice", 7))
    assert exec_id == "exec_id008009entrancehere:9104IDE_alice_7"


@pytest.mark.parametrize("instance", ["", "x" * 256])
def test_an_instance_whose_length_would_not_fit_is_refused(instance: str) -> None:
    with pytest.raises(ValueError, match="1 to 255 characters"):
        ids.ExecId(instance, "IDE", "alice", 7)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-1",
        "+1",
        " 1",
        "1\n",
        "1.0",
        "1e3",
        "0x1",
        "abc",
        "٣",
        str(2**63),
        "9" * 20,
        "exec_id",
        "exec_id0080",
        "exec_id00800xentrancehere:9104IDE_alice_7",
        "exec_id000009here:9104IDE_alice_7",
        "exec_id008000entranceIDE_alice_7",
        "exec_id008009entrancehere:9104",
        "exec_id008009entrancehere:9104alice_7",
        "exec_id008009entrancehere:9104IDE_alice_",
        "exec_id008009entrancehere:9104IDE_alice_07",
        "exec_id008009entrancehere:9104IDE_alice_0",
        "exec_id008009entrancehere:9104IDE_alice_-7",
        f"exec_id008009entrancehere:9104IDE_alice_{2**63}",
        "exec_id999999entrancehere:9104IDE_alice_7",
        "exec_id008009entrancehere:9104IDE_" + "a" * 1024 + "_7",
        "EXEC_ID008009entrancehere:9104IDE_alice_7",
    ],
)
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="neither an execID nor a taskID") as refused:
        ids.task_id_of(text)
    assert refused.value.reason == "MALFORMED_ID"
    assert [violation.field for violation in refused.value.violations] == ["id"]


@given(st.text())
def test_any_text_is_an_id_or_refused(text: str) -> None:
    for candidate in (text, ids.EXEC_ID_PREFIX + text, "exec_id001001" + text):
        with contextlib.suppress(errors.InvalidRequest):
            assert 0 < ids.task_id_of(candidate) <= ids.TASK_ID_MAX


@given(TASK_IDS, TASK_IDS)
def test_two_jobs_never_share_a_directory(first: int, second: int) -> None:
    same = ids.directory_of(first) == ids.directory_of(second)
    assert same == (first == second)


def test_a_directory_holds_a_thousand_jobs_at_most() -> None:
    parents = {ids.directory_of(task_id).parent for task_id in range(5000, 6000)}
    assert [str(parent) for parent in parents] == ["5"]
