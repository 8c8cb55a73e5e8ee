"""What a log has answered keeps its place after the process that wrote it was killed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from entrance_server.logs import LogStore
from tests.system.crashes import answers_until_killed

# Appends to one log for ever, and prints the mark of each append that was answered.
APPEND_LINES = """
import asyncio, itertools, pathlib, sys
from entrance_server.logs import LogStore

async def main():
    async with LogStore(pathlib.Path(sys.argv[1])) as logs:
        for seq in itertools.count(1):
            text = b"".join(b"%d.%d\\n" % (seq, line) for line in range(3000))
            await logs.append(1, text, 3000, attempt=1, seq=seq)
            print(seq, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("enough", [1, 50, 200])
async def test_every_answered_line_survives_a_kill(tmp_path: Path, enough: int) -> None:
    answers = await asyncio.to_thread(
        answers_until_killed, APPEND_LINES, str(tmp_path), enough=enough
    )
    async with LogStore(tmp_path) as logs:
        attempt, seq = await logs.mark(1)
        assert (attempt, seq) >= (1, int(answers[-1]))
        assert await logs.next_line(1) == 3000 * seq + 1
        await logs.append(1, b"next\n", 1, attempt=1, seq=seq + 1)
        end = await logs.read(1, 3000 * seq, max_lines=9, max_bytes=99)
        assert end.text == b"%d.2999\nnext\n" % seq
