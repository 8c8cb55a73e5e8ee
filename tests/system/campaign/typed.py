"""A follower by the typed client, which finds its way back to a broken stream by itself."""

from __future__ import annotations

import asyncio
import time

from entrance.client import AsyncClient, EntranceError, Retries
from tests.system.campaign import model
from tests.system.campaign.history import Call, Followed, History, Lines
from tests.system.campaign.proxy import HOST

PATIENT = Retries(calls=100, streams=1_000, longest_delay=1.0)
DEADLINE = 300.0  # seconds


async def follow_log(
    history: History, observer: str, task_id: int, *, port: int, token: str
) -> None:
    """Follows a job's log to its end in one loop; it is an error when the client gives up."""
    start, texts = time.time(), list[str]()
    code, detail, status = model.ABANDONED, "", ""
    try:
        async with AsyncClient(
            f"{HOST}:{port}", token=token, retries=PATIENT, deadline=DEADLINE
        ) as client:
            job = await client.job(task_id)
            async for line in job.follow_log():
                if line.number != len(texts) + 1:  # a gap or a line again, kept for the validator
                    history.add(Lines(observer, task_id, 1, tuple(texts)))
                    history.add(Lines(observer, task_id, line.number, (line.text,)))
                    return
                texts.append(line.text)
            status = str(await job.status())
        code = model.OK
    except EntranceError as error:
        code, detail = "GAVE UP", repr(error)
    except asyncio.CancelledError:
        detail = "the campaign was over"
        raise
    finally:
        if texts:
            history.add(Lines(observer, task_id, 1, tuple(texts)))
        if status:
            history.add(Followed(observer, task_id, len(texts) + 1, status))
        end = time.time()
        history.add(
            Call(observer, "typed client", "follow log", "", task_id, start, end, code, detail)
        )
