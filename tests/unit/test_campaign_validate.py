"""The campaign's validator passes a sound history, and finds each kind of lie in a doctored one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.system.campaign import model
from tests.system.campaign.history import (
    Call,
    Crash,
    Fault,
    Final,
    FinalLog,
    Followed,
    History,
    Lines,
    Memory,
    Plan,
    Record,
    Residue,
    Rows,
    Seen,
    Survivor,
)
from tests.system.campaign.validate import MEMORY_LIMIT, validate

HEADER = "2030-01-01 00:00:00.000 INFO Your job is accepted."
LOG = (HEADER, "t1 line 1 @12.1", "t1 line 2 @14.5", "t1 line 3 @16.0")
PLAN = Plan(
    "t1",
    "alice",
    "slow",
    "shell",
    "shell",
    "code",
    lines=("t1 line 1", "t1 line 2", "t1 line 3"),
    rows=((("1", "2"),),),
)
FINAL = Final(7, "t1", "Succeed", 0, "", "s1", created=10.0, ended=20.0, results=1)


def call(op: str, start: float, end: float, code: str = model.OK, detail: str = "") -> Call:
    token = "t1" if op == "submit" else ""
    return Call("a", "grpc", op, token, 7, start, end, code, detail)


def seen(start: float, end: float, status: str) -> Seen:
    return Seen("a", 7, start, end, status)


SOUND: tuple[Record, ...] = (
    PLAN,
    call("submit", 9.9, 10.0),
    seen(10.1, 10.2, "Inited"),
    seen(10.3, 10.4, "Scheduled"),
    seen(10.5, 10.6, "Running"),
    Lines("follower", 7, 1, LOG[:2]),
    call("pause", 12.5, 12.6),
    call("resume", 14.0, 14.1),
    Lines("follower", 7, 3, LOG[2:]),
    Followed("follower", 7, 5, "Succeed"),
    seen(20.1, 20.2, "Succeed"),
    Rows("a", 7, 0, (("1", "2"),)),
    FINAL,
    FinalLog(7, LOG),
)
FAILED = dataclasses.replace(FINAL, status="Failed", error_code=40900, error="lost", results=0)
CANCELLED = dataclasses.replace(FINAL, status="Cancelled", results=0)


def without(cls: type[Record]) -> list[Record]:
    return [record for record in SOUND if not isinstance(record, cls)]


def rules(*records: Record) -> set[str]:
    return {violation.rule for violation in validate(History(list(records)))}


def ending_as(final: Final, *more: Record, log: tuple[str, ...] = LOG[:2]) -> set[str]:
    """The rules broken by a job that ended in some way, which nobody had followed."""
    return rules(PLAN, call("submit", 9.9, 10.0), final, FinalLog(7, log), *more)


def test_a_sound_history_has_no_violation() -> None:
    assert validate(History(list(SOUND))) == []


def test_a_history_is_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with path.open("w") as file:
        history = History(file=file)
        for record in SOUND:
            history.add(record)
    assert History.load(path).records == list(SOUND)


DOCTORED: dict[str, tuple[list[Record], str]] = {
    "an acknowledged job is gone": (
        [*without(Final)[:3], PLAN],
        "acknowledged jobs are there",
    ),
    "a job is there twice": (
        [*SOUND, dataclasses.replace(FINAL, task_id=8), FinalLog(8, LOG)],
        "one job per request id",
    ),
    "a repeated submit was answered with another job": (
        [*SOUND, dataclasses.replace(call("submit", 9, 9.1), task_id=8)],
        "one job per request id",
    ),
    "a state went back": (
        [*SOUND, seen(11.0, 11.1, "Inited")],
        "states never go back",
    ),
    "a state went back for another client": (
        [*SOUND, Seen("b", 7, 11.0, 11.1, "Scheduled")],
        "states never go back",
    ),
    "a final state changed": (
        [*SOUND, seen(20.3, 20.4, "Failed")],
        "a final state never changes",
    ),
    "a follower was told another end": (
        [*without(Followed), Followed("follower", 7, 5, "Failed")],
        "a final state never changes",
    ),
    "a job never ended": (
        [*without(Final), dataclasses.replace(FINAL, status="Running")],
        "every job ends",
    ),
    "a line that was shown is lost": (
        [*without(FinalLog), FinalLog(7, (LOG[0], *LOG[2:]))],
        "a line keeps its number",
    ),
    "a line has another text": (
        [*SOUND, Lines("b", 7, 2, ("t1 line 9 @12.1",))],
        "a line keeps its number",
    ),
    "two lines changed places": (
        [*SOUND, Lines("b", 7, 2, (LOG[2], LOG[1]))],
        "a line keeps its number",
    ),
    "a line was shown past the end": (
        [*SOUND, Lines("b", 7, 5, ("t1 line 4",))],
        "a line keeps its number",
    ),
    "a follower got a line twice": (
        [*without(Followed), Lines("follower", 7, 4, LOG[3:])],
        "each line once",
    ),
    "a follower missed a line": (
        [
            *(r for r in SOUND if not isinstance(r, Lines)),
            Lines("follower", 7, 1, LOG[:2]),
            Lines("follower", 7, 4, LOG[3:]),
        ],
        "each line once",
    ),
    "a follower was sent away before the last line": (
        [*(r for r in SOUND if r != Lines("follower", 7, 3, LOG[2:]))],
        "followers get all lines",
    ),
    "a printed line is in the log twice": (
        [*without(FinalLog), FinalLog(7, (*LOG, LOG[3]))],
        "printed lines once and in order",
    ),
    "a job that succeeded lacks its last line": (
        [*without(FinalLog), FinalLog(7, LOG[:3])],
        "ended jobs have all their output",
    ),
    "a job that succeeded lacks a result": (
        [*without(Final), dataclasses.replace(FINAL, results=0)],
        "ended jobs have all their results",
    ),
    "a result has another row": (
        [*SOUND, Rows("b", 7, 0, (("1", "3"),))],
        "results are exact",
    ),
    "a kill was acknowledged, and the job succeeded": (
        [*SOUND, call("kill", 18.0, 18.1)],
        "killed means Cancelled",
    ),
    "a process survived its job's kill": ([*SOUND, Survivor(7, 4711)], "killed means gone"),
    "a paused job printed": (
        [*(r for r in SOUND if r != call("resume", 14.0, 14.1)), call("resume", 15.0, 15.1)],
        "paused means silent",
    ),
    "a runner was left": ([*SOUND, Residue("process 4711: python")], "nothing is left behind"),
    "the server crashed": ([*SOUND, Crash("server", 1)], "no program ends by itself"),
    "the server grew": ([*SOUND, Memory("server", MEMORY_LIMIT + 1)], "memory is bounded"),
    "a call met a fault of the service": (
        [*SOUND, call("status", 12.0, 12.1, "INTERNAL")],
        "only documented answers",
    ),
    "a call was refused for want of a server though there was no fault": (
        [*SOUND, call("status", 12.0, 12.1, model.UNAVAILABLE)],
        "only documented answers",
    ),
    "a call was refused for want of a server while a clock was set": (
        [*SOUND, Fault("set clock", 11.0, 13.0), call("status", 12.0, 12.1, model.UNAVAILABLE)],
        "only documented answers",
    ),
    "a job began before it was created": (
        [*without(Final), dataclasses.replace(FINAL, started=9.0)],
        "times are in order",
    ),
    "a job ended before it began": (
        [*without(Final), dataclasses.replace(FINAL, started=20.1)],
        "times are in order",
    ),
    "a submit was refused for a wrong state": (
        [*SOUND, call("submit", 12.0, 12.1, model.WRONG_STATE)],
        "only documented answers",
    ),
}


@pytest.mark.parametrize(("records", "rule"), DOCTORED.values(), ids=DOCTORED)
def test_a_doctored_history_is_found_out(records: list[Record], rule: str) -> None:
    assert rule in rules(*records)


def test_a_kill_under_way_may_let_a_paused_job_go_on() -> None:
    log, stubborn = (*LOG[:2], "t1 line 2 @13.0"), call("kill", 12.0, 14.0)
    pause = call("pause", 12.2, 12.3)
    assert ending_as(CANCELLED, pause, stubborn, log=log) == set()
    over = call("kill", 12.0, 12.1, model.WRONG_STATE)
    assert "paused means silent" in ending_as(CANCELLED, pause, over, log=log)


def test_a_failure_needs_a_cause() -> None:
    assert ending_as(FAILED) == {"no failure without a cause"}


def test_a_failure_needs_a_reason() -> None:
    assert "failed jobs have a reason" in ending_as(dataclasses.replace(FAILED, error=""))


@pytest.mark.parametrize(
    ("fault", "excuses"),
    [
        (Fault("kill runner", 15.0, 15.1, ("s1",)), True),
        (Fault("kill runner", 15.0, 15.1, ("s2",)), False),
        (Fault("kill runner", 21.0, 21.1, ("s1",)), False),
        (Fault("kill server", 15.0, 15.1), False),
        (Fault("disk full", 15.0, 15.1), False),
    ],
)
def test_only_a_fault_that_hit_the_job_excuses_its_failure(fault: Fault, excuses: bool) -> None:
    assert (ending_as(FAILED, fault) == set()) is excuses


def test_no_job_reaches_a_limit() -> None:
    timed_out = dataclasses.replace(FAILED, status="Timeout", error_code=40902)
    assert "no limit before its time" in ending_as(timed_out, call("kill", 15.0, 16.0))


def test_a_process_that_a_fault_ended_may_be_one_that_was_to_print() -> None:
    ended = dataclasses.replace(FINAL, results=1)
    assert ending_as(ended) == {"ended jobs have all their output"}
    assert ending_as(ended, Fault("kill engine", 15.0, 15.1, ("s1",))) == set()


def test_a_kill_that_was_cut_off_may_have_ended_the_job_in_another_way() -> None:
    fault = Fault("kill server", 15.0, 15.1)
    assert ending_as(FAILED, fault, call("kill", 15.0, 16.0, model.UNAVAILABLE)) == set()
    for other in (
        call("kill", 15.0, 16.0, model.WRONG_STATE),
        call("kill", 20.1, 20.2, model.UNAVAILABLE),
    ):
        assert ending_as(FAILED, fault, other) == {"no failure without a cause"}


def test_a_full_disk_excuses_a_failure_that_tells_of_it() -> None:
    failed = dataclasses.replace(FAILED, error="No space left on device")
    assert ending_as(failed, Fault("disk full", 15.0, 15.1)) == set()


def test_a_job_is_cancelled_only_by_a_kill() -> None:
    assert ending_as(CANCELLED) == {"Cancelled means killed"}
    assert ending_as(CANCELLED, call("kill", 15.0, 16.0)) == set()
    abandoned = call("kill", 15.0, 16.0, model.ABANDONED)
    assert ending_as(CANCELLED, abandoned) == set()


@pytest.mark.parametrize("lasting", [True, False])
def test_a_call_may_be_refused_while_a_fault_lasts_and_a_while_after(lasting: bool) -> None:
    fault = Fault("kill server", 11.0, 12.5 if lasting else 11.5)
    refused = call("status", 12.0, 12.1, model.UNAVAILABLE)
    assert rules(*SOUND, fault, refused) == set()
    late = call("status", 12.0 + 2 * model.AFTERMATH, 13.0 + 2 * model.AFTERMATH, model.DEADLINE)
    assert rules(*SOUND, fault, late) == {"only documented answers"}
