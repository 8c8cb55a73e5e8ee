"""Proves from a history that every rule was kept, or tells where one was not."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.system.campaign import model
from tests.system.campaign.history import (
    Call,
    Crash,
    Fault,
    Final,
    History,
    Lines,
    Memory,
    Plan,
    Residue,
    Survivor,
)
from tests.system.campaign.model import Faults, JobHistory

MEMORY_LIMIT = 768 * 1024 * 1024  # bytes of one program
CLOCK_SLACK = 0.005  # seconds between a line's own clock and its print
STAMP = re.compile(r" @([0-9]+\.[0-9]+)$")


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that was broken."""

    rule: str
    task_id: int
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: job {self.task_id}: {self.text}"


def validate(history: History) -> list[Violation]:
    """Every violation in a history."""
    jobs = model.jobs_of(history)
    faults = Faults(list(history.of(Fault)))
    found = [violation for check in WHOLE for violation in check(history)]
    found += answers(history, faults)
    for job in jobs.values():
        found += [violation for check in EACH for violation in check(job)]
        found += output(job, faults)
        found += endings(job, faults)
    return found


def submits(history: History) -> Iterator[Violation]:
    """Every acknowledged job is there exactly once, one for each request id."""
    stored = model.by_token(history)
    answered: dict[str, set[int]] = defaultdict(set)
    for call in history.of(Call):
        if call.op == "submit" and call.code == model.OK:
            answered[call.token].add(call.task_id)
    for plan in history.of(Plan):
        there, told = stored[plan.token], answered[plan.token]
        if len(there) > 1:
            yield Violation("one job per request id", min(there), f"also stored as {there}")
        if lost := told - there:
            yield Violation("acknowledged jobs are there", min(lost), "it is gone")
        if len(told) > 1:
            yield Violation("one job per request id", min(told), f"answered as {told}")


def residue(history: History) -> Iterator[Violation]:
    """Nothing is left when everything has stopped."""
    for left in history.of(Residue):
        yield Violation("nothing is left behind", 0, left.what)


def crashes(history: History) -> Iterator[Violation]:
    """The programs end only when they are killed."""
    for one in history.of(Crash):
        text = f"{one.program} ended by itself with status {one.status}"
        yield Violation("no program ends by itself", 0, text)


def memory(history: History) -> Iterator[Violation]:
    """Programs stay within bounds."""
    for sample in history.of(Memory):
        if sample.bytes > MEMORY_LIMIT:
            yield Violation("memory is bounded", 0, f"{sample.program} had {sample.bytes} bytes")


def survivors(history: History) -> Iterator[Violation]:
    """A killed job's processes are gone when the kill is acknowledged."""
    for one in history.of(Survivor):
        yield Violation("killed means gone", one.task_id, f"process {one.pid} lived on")


def answers(history: History, faults: Faults) -> Iterator[Violation]:
    """Only documented answers, and those that ask to try again only by a fault."""
    for call in history.of(Call):
        if call.code in (model.OK, model.ABANDONED):
            continue
        if call.code == model.WRONG_STATE and call.op in model.CONTROLS:
            continue
        excused = call.code not in model.ONLY_BY_FAULT or faults.during(call.start, call.end)
        if call.code not in model.RETRYABLE or not excused:
            text = f"{call.via} {call.op} answered {call.code}: {call.detail}"
            yield Violation("only documented answers", call.task_id, text)


def states(job: JobHistory) -> Iterator[Violation]:
    """States never go back, and a final one never changes, for whoever looks later."""
    told = [(one.start, one.end, one.status) for one in job.seen]
    told += [(job.final.ended, float("inf"), job.final.status)] if job.final else []
    by_end = sorted(told, key=lambda one: one[1])
    position, newest = 0, ""
    for start, _, status in sorted(told):
        while by_end[position][1] < start:
            earlier = by_end[position][2]
            newest = max(newest, earlier, key=lambda name: model.RANK.get(name, -1))
            position += 1
        if newest and _goes_back(newest, status):
            yield Violation("states never go back", job.task_id, f"{newest}, then {status}")
    finals = {status for _, _, status in told if status in model.FINAL_STATES}
    if len(finals) > 1:
        yield Violation("a final state never changes", job.task_id, f"it was {sorted(finals)}")
    if job.final and job.final.status not in model.FINAL_STATES:
        yield Violation("every job ends", job.task_id, f"it is {job.final.status}")


def numbers(job: JobHistory) -> Iterator[Violation]:
    """A line has one number for ever, for all observers and in the final log."""
    for lines in job.lines:
        kept = job.log[lines.first - 1 : lines.first - 1 + len(lines.texts)]
        if list(kept) != list(lines.texts):
            yield Violation("a line keeps its number", job.task_id, _difference(lines, kept))


def followers(job: JobHistory) -> Iterator[Violation]:
    """A follower gets each line once, in order, to the end."""
    by_observer: dict[str, list[Lines]] = defaultdict(list)
    for lines in job.lines:
        by_observer[lines.observer].append(lines)
    for observer, pieces in by_observer.items():
        for before, after in pairwise(pieces):
            if before.first + len(before.texts) != after.first:
                text = f"{observer} got line {after.first} after {len(before.texts)} from "
                yield Violation("each line once", job.task_id, f"{text}{before.first}")
    for end in job.followed:
        pieces = by_observer[end.observer]
        got = pieces[-1].first + len(pieces[-1].texts) - 1 if pieces else 0
        if got != len(job.log):
            text = f"{end.observer} ended at line {got} of {len(job.log)}"
            yield Violation("followers get all lines", job.task_id, text)
        if job.final and end.status != job.final.status:
            text = f"{end.observer} was told {end.status}, it is {job.final.status}"
            yield Violation("a final state never changes", job.task_id, text)


def output(job: JobHistory, faults: Faults) -> Iterator[Violation]:
    """What the code printed is in the log once and in order; all of it, when nothing ended it.

    A process that its code had started may be what a fault ended, and the code may go on.
    """
    if job.plan is None or job.final is None:
        return
    printed, expected = job.printed, job.plan.lines
    for number, text in enumerate(printed):
        if number >= len(expected) or not _is(text, expected[number]):
            yield Violation("printed lines once and in order", job.task_id, f"{number}: {text}")
            return
    by_itself = job.final.status in ("Succeed", "Failed") and _as_planned(job.plan, job.final)
    if by_itself and len(printed) != len(expected) and not faults.excuse(job.final):
        text = f"{len(printed)} of {len(expected)} lines"
        yield Violation("ended jobs have all their output", job.task_id, text)


def results(job: JobHistory) -> Iterator[Violation]:
    """Result rows are those of the statement, whoever reads them."""
    if job.plan is None or job.final is None:
        return
    for read in job.rows:
        expected = job.plan.rows[read.index] if read.index < len(job.plan.rows) else ()
        if list(map(list, read.rows)) != list(map(list, expected)):
            text = f"result {read.index} has {len(read.rows)} rows, or other ones"
            yield Violation("results are exact", job.task_id, text)
    if job.final.status == "Succeed" and job.final.results != len(job.plan.rows):
        text = f"{job.final.results} results of {len(job.plan.rows)}"
        yield Violation("ended jobs have all their results", job.task_id, text)


def kills(job: JobHistory) -> Iterator[Violation]:
    """An acknowledged kill makes a job Cancelled, and nothing else does."""
    if job.final is None:
        return
    is_cancelled = job.final.status == "Cancelled"
    if job.acknowledged("kill", "killJobs") and not is_cancelled:
        yield Violation("killed means Cancelled", job.task_id, f"it is {job.final.status}")
    if is_cancelled and not job.tried("kill", "killJobs"):
        yield Violation("Cancelled means killed", job.task_id, "nobody asked for it")


def pauses(job: JobHistory) -> Iterator[Violation]:
    """A job prints nothing between an acknowledged pause and what may have undone it."""
    stamps = [float(match[1]) for text in job.printed if (match := STAMP.search(text))]
    undoing = job.tried("resume", "kill", "killJobs")
    for pause in job.acknowledged("pause"):
        after = [call.start for call in undoing if _may_act_after(call, pause.start)]
        end = min(after, default=float("inf"))
        if any(pause.end + CLOCK_SLACK < stamp < end for stamp in stamps):
            yield Violation("paused means silent", job.task_id, f"it printed after {pause.end}")


def times(job: JobHistory) -> Iterator[Violation]:
    """A job's times are in order, and no limit ends it, since none is as short as a campaign."""
    if (final := job.final) is None:
        return
    known = [time for time in (final.created, final.started, final.ended) if time]
    if known != sorted(known):
        yield Violation("times are in order", job.task_id, f"{known}")
    if final.status == "Timeout":
        yield Violation("no limit before its time", job.task_id, final.error)


def endings(job: JobHistory, faults: Faults) -> Iterator[Violation]:
    """A job that failed was meant to, or a fault that hit it is the reason."""
    final, plan = job.final, job.plan
    if final is None or plan is None or final.status != "Failed":
        return
    text = f"{final.status} with {final.error_code}: {final.error}"
    if not final.error:
        yield Violation("failed jobs have a reason", job.task_id, text)
    if not (_as_planned(plan, final) or _kill_cut_off(job, final) or faults.excuse(final)):
        yield Violation("no failure without a cause", job.task_id, text)


def _kill_cut_off(job: JobHistory, final: Final) -> bool:
    """Whether a kill may have begun of which nobody was told how it ended."""
    unknown = (*model.ONLY_BY_FAULT, model.ABANDONED)
    tried = job.tried("kill", "killJobs")
    return any(call.code in unknown and call.start <= final.ended for call in tried)


def _may_act_after(call: Call, moment: float) -> bool:
    """Whether a call can have its effect after a moment: one that was cut off can at any time."""
    return call.end >= moment or call.code in (*model.ONLY_BY_FAULT, model.ABANDONED)


def _is(text: str, expected: str) -> bool:
    return text == expected or (STAMP.search(text) is not None and STAMP.sub("", text) == expected)


def _goes_back(earlier: str, later: str) -> bool:
    return model.RANK.get(later, -1) < model.RANK.get(earlier, -1)


def _as_planned(plan: Plan, final: Final) -> bool:
    return final.status == plan.status and plan.error in final.error


def _difference(lines: Lines, kept: Sequence[str]) -> str:
    for offset, text in enumerate(lines.texts):
        stored = kept[offset] if offset < len(kept) else None
        if stored != text:
            number = lines.first + offset
            return f"line {number} was {text!r} for {lines.observer}, and is {stored!r}"
    return "no difference"


WHOLE: Sequence[Callable[[History], Iterator[Violation]]] = (
    submits,
    crashes,
    residue,
    memory,
    survivors,
)
EACH: Sequence[Callable[[JobHistory], Iterator[Violation]]] = (
    states,
    numbers,
    followers,
    results,
    kills,
    pauses,
    times,
)
