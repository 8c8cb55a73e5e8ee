"""What users do: submit, look, follow, pause, kill, read; at random, again when it failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any

import psutil

from tests.system.campaign import jobs, model
from tests.system.campaign.client import Answer, Client
from tests.system.campaign.history import History, Plan, Survivor
from tests.system.campaign.jobs import Planner

RETRY = 0.3  # seconds
POLL = 0.3  # seconds
SETTLED = frozenset({model.OK, model.WRONG_STATE})

Step = Callable[[], Awaitable[Answer]]
ClientMaker = Callable[[str, str], Client]  # of an actor, in a user's name
TypedFollower = Callable[[str, int, str], Coroutine[Any, Any, None]]  # of a job, in a user's name


class Traffic:
    """Some users at once, each with one job after the other."""

    def __init__(
        self,
        history: History,
        planner: Planner,
        random: Random,
        client: ClientMaker,
        follow_typed: TypedFollower,
    ) -> None:
        self._history = history
        self._planner = planner
        self._random = random
        self._client = client
        self._follow_typed = follow_typed

    async def run(self, users: int, until: float) -> None:
        """Works until a moment of the loop's clock, then lets go of what is under way."""
        loop = asyncio.get_running_loop()
        with_time = asyncio.timeout_at(until)
        try:
            async with with_time, asyncio.TaskGroup() as tasks:
                for _ in range(users):
                    tasks.create_task(self._user())
        except TimeoutError:
            if loop.time() < until:
                raise

    async def _user(self) -> None:
        while True:
            plan = self._planner.next()
            self._history.add(plan)
            random = Random(self._random.random())
            await Story(plan, self._history, random, self._client, self._follow_typed).live()


class Story:
    """One job from its submit to its end, with whoever watches and controls it."""

    def __init__(
        self,
        plan: Plan,
        history: History,
        random: Random,
        client: ClientMaker,
        follow_typed: TypedFollower,
    ) -> None:
        self._plan = plan
        self._history = history
        self._random = random
        self._make_client = client
        self._follow_typed = follow_typed
        self._actors = 0
        self._task_id = 0

    async def live(self) -> None:
        """Lives it; the job has ended then."""
        await self._with_client(self._submit)
        async with asyncio.TaskGroup() as tasks:
            watching = self._random.choice(
                (self._follow, self._follow, self._poll_log, self._watch, self._poll_status)
            )
            tasks.create_task(self._with_client(watching))
            if self._random.random() < 0.1:
                follower = f"{self._plan.token} typed follow"
                tasks.create_task(self._follow_typed(follower, self._task_id, self._plan.user))
            if self._random.random() < 0.2:
                tasks.create_task(self._with_client(self._follow))
            if self._random.random() < self._wish_to_pause():
                tasks.create_task(self._with_client(self._pause))
            if self._plan.kind == jobs.ENDLESS or self._random.random() < 0.05:
                tasks.create_task(self._with_client(self._kill))
        await self._with_client(self._read)

    async def _with_client(self, act: Callable[[Client], Awaitable[None]]) -> None:
        self._actors += 1
        client = self._make_client(f"{self._plan.token}.{self._actors}", self._plan.user)
        try:
            await act(client)
        finally:
            await client.close()

    async def _submit(self, client: Client) -> None:
        answer = await self._until_settled(lambda: client.submit(self._plan))
        self._task_id = answer.value
        if self._random.random() < 0.1:
            await client.submit(self._plan)  # the same again, as one who missed the answer

    async def _follow(self, client: Client) -> None:
        observer, next_line = f"{client.actor} follow", 1

        async def follow() -> Answer:
            nonlocal next_line
            answer = await client.follow_log(self._task_id, next_line, observer)
            next_line = max(next_line, answer.value)
            return answer

        await self._until_settled(follow)

    async def _watch(self, client: Client) -> None:
        op = self._random.choice(("watch", "progress"))
        await self._until_settled(lambda: client.watch(self._task_id, op))

    async def _poll_status(self, client: Client) -> None:
        while (await client.status(self._task_id)).value not in model.FINAL_STATES:
            await self._rest(POLL)

    async def _poll_log(self, client: Client) -> None:
        observer, next_line = f"{client.actor} poll", self._random.choice((0, 1))
        status = ""
        while status not in model.FINAL_STATES:
            status = (await client.status(self._task_id)).value
            answer = await client.log(self._task_id, next_line, observer)
            if answer.is_ok:
                next_line = answer.value.next_line
            await self._rest(POLL)

    async def _pause(self, client: Client) -> None:
        await self._rest(self._random.uniform(0, 2))
        if (await self._control(client, "pause")).code != model.OK:
            return
        await self._rest(self._random.uniform(0.2, 3))
        await self._control(client, "resume")

    async def _kill(self, client: Client) -> None:
        await self._rest(self._random.uniform(0, 4))
        answer = await self._control(client, self._random.choice(("kill", "kill", "killJobs")))
        if answer.code == model.OK:
            await self._look_for_survivors(client)

    async def _look_for_survivors(self, client: Client) -> None:
        page = await client.log(self._task_id, 1, f"{client.actor} survivors")
        if not page.is_ok:
            return
        for text in page.value.texts:
            if text.startswith("pid ") and _runs(int(text[4:]), self._plan.token):
                self._history.add(Survivor(self._task_id, int(text[4:])))

    async def _read(self, client: Client) -> None:
        ended = await self._until_settled(lambda: client.status(self._task_id))
        for index in range(len(self._plan.rows)) if ended.value == "Succeed" else ():
            if self._random.random() < 0.5:
                await client.rows(self._task_id, index)
        if self._random.random() < 0.3:
            await client.log(self._task_id, 1, f"{client.actor} again")

    async def _control(self, client: Client, op: str) -> Answer:
        return await self._until_settled(lambda: client.control(op, self._task_id))

    async def _until_settled(self, step: Step) -> Answer:
        while (answer := await step()).code not in SETTLED:
            await self._rest(RETRY)
        return answer

    async def _rest(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._random.uniform(0.7, 1.3))

    def _wish_to_pause(self) -> float:
        return 0.35 if self._plan.kind in (jobs.SLOW, jobs.ENDLESS) else 0.03


def _runs(pid: int, token: str) -> bool:
    """Whether a job's shell lives: it has its script open, so that another process is not meant."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and "script" in " ".join(process.cmdline())
    except psutil.Error:
        return False
