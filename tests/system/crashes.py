"""Kills a process in the middle of its work."""

from __future__ import annotations

import subprocess
import sys


def answers_until_killed(program: str, argument: str, *, enough: int) -> list[bytes]:
    """What a program had printed, in whole lines, when it was killed after so many lines."""
    command = [sys.executable, "-c", program, argument]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        answers = [child.stdout.readline() for _ in range(enough)]
        child.kill()
        answers += child.stdout.readlines()
    whole = [answer for answer in answers if answer.endswith(b"\n")]
    assert len(whole) >= enough, "the program ended by itself"
    return whole
