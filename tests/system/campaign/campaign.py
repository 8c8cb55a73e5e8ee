"""One campaign: traffic and faults at once for a while, then the end and the verdict."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psutil

from tests.system.campaign import ending, model, typed
from tests.system.campaign.client import Client, GrpcClient, RestClient
from tests.system.campaign.faults import Injector
from tests.system.campaign.history import (
    Call,
    Fault,
    FinalLog,
    Followed,
    History,
    Lines,
    Memory,
    Plan,
    Skipped,
)
from tests.system.campaign.installation import USERS, Installation, Size, installed
from tests.system.campaign.jobs import Planner
from tests.system.campaign.traffic import Traffic
from tests.system.campaign.validate import Violation, validate

MEMORY_INTERVAL = 2.0  # seconds
PROMISES = frozenset({"submit", *model.CONTROLS})  # what an answer binds the service to


@dataclass(frozen=True, slots=True)
class Settings:
    """What a campaign is made from.

    `seconds` is the time of traffic and faults, `kinds` the faults to make; none means all.
    """

    seed: int
    seconds: float
    users: int
    faults_per_second: float
    size: Size = field(default_factory=Size)
    kinds: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a campaign ended."""

    settings: Settings
    history: History
    violations: Sequence[Violation]

    def lines(self) -> list[str]:
        """The closing lines: what was tried, and what came of it."""
        history, settings = self.history, self.settings
        faults = collections.Counter(fault.kind for fault in history.of(Fault))
        skipped = collections.Counter(fault.kind for fault in history.of(Skipped))
        calls = collections.Counter(call.via for call in history.of(Call))
        codes = collections.Counter(call.code for call in history.of(Call))
        done = collections.Counter(
            call.op for call in history.of(Call) if call.code == model.OK and call.op in PROMISES
        )
        memory: dict[str, int] = {}
        for sample in history.of(Memory):
            memory[sample.program] = max(memory.get(sample.program, 0), sample.bytes)
        return [
            f"seed {settings.seed}, {settings.seconds:g} s",
            _counted("faults", faults),
            _counted("faults that could not be made", skipped),
            _counted("jobs", collections.Counter(plan.kind for plan in history.of(Plan))),
            f"lines: {sum(len(log.texts) for log in history.of(FinalLog))} stored, "
            f"{sum(len(lines.texts) for lines in history.of(Lines))} seen",
            _counted("calls", calls),
            _counted("answers", codes),
            _counted("promises", done),
            f"logs followed to their end: {sum(1 for _ in history.of(Followed))}",
            "memory at most: "
            + ", ".join(f"{name} {most // 2**20} MiB" for name, most in sorted(memory.items())),
            f"violations: {len(self.violations)}",
            *(f"  {violation}" for violation in self.violations[:50]),
        ]


async def run(settings: Settings, report: Path) -> Verdict:
    """Runs a campaign. All that is needed to look into it is left in `report`."""
    report.mkdir(parents=True, exist_ok=True)
    with (report / "history.jsonl").open("w") as file:
        history = History(file=file)
        async with installed(report, settings.size) as installation:
            await _trouble(settings, installation, history)
            await ending.finish(installation, history)
            with contextlib.suppress(OSError):
                shutil.copy(installation.data_dir / "entrance.db", report)
    verdict = Verdict(settings, history, validate(history))
    (report / "verdict.txt").write_text("\n".join(verdict.lines()) + "\n")
    return verdict


async def _trouble(settings: Settings, installation: Installation, history: History) -> None:
    random = Random(settings.seed)
    planner = Planner(Random(random.random()), USERS)
    injector_random, traffic_random = Random(random.random()), Random(random.random())
    injector = Injector(
        installation,
        history,
        injector_random,
        per_second=settings.faults_per_second,
        kinds=settings.kinds,
    )

    async def follow_typed(observer: str, task_id: int, user: str) -> None:
        port = traffic_random.choice(installation.servers).proxy.port
        token = installation.tokens[user]
        await typed.follow_log(history, observer, task_id, port=port, token=token)

    client = _clients(installation, history, traffic_random)
    traffic = Traffic(history, planner, traffic_random, client, follow_typed)
    until = asyncio.get_running_loop().time() + settings.seconds
    async with asyncio.TaskGroup() as tasks:
        measuring = tasks.create_task(_measure(installation, history))
        tasks.create_task(traffic.run(settings.users, until))
        await injector.run(until)
        await installation.whole()
        measuring.cancel()


def _clients(
    installation: Installation, history: History, random: Random
) -> Callable[[str, str], Client]:
    def make(actor: str, user: str) -> Client:
        token = installation.tokens[user]
        if random.random() < 0.5:
            port = random.choice(installation.servers).proxy.port
            return GrpcClient(actor, history, port=port, token=token)
        port = random.choice(installation.gateways).proxy.port
        return RestClient(actor, history, port=port, token=token)

    return make


async def _measure(installation: Installation, history: History) -> None:
    while True:
        await asyncio.sleep(MEMORY_INTERVAL)
        for program in installation.programs:
            with contextlib.suppress(psutil.Error, AssertionError):
                rss = psutil.Process(program.daemon.pid).memory_info().rss
                history.add(Memory(program.name, rss))


def _counted(what: str, counter: collections.Counter[str]) -> str:
    kinds = ", ".join(f"{name} {count}" for name, count in counter.most_common())
    return f"{what}: {counter.total()}" + (f" ({kinds})" if kinds else "")
