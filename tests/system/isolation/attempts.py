"""What a hostile job does, as Python code that says whether it got where it wanted."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from tests.system.isolation.services import FILE_SIZE, MEMORY, OPEN_FILES, PROCESSES, SECRET

GOT_THERE, KEPT_OUT = "could", "could not"  # before the attempt's name, on a line of their own


@dataclass(frozen=True)
class Target:
    """What a job of somebody else and the service have that is not for the attacker."""

    server: int
    runner: int
    starter: int
    job: int
    socket: str
    store: str
    token: str
    log: str
    result: str
    session_file: str


_HEAD = """\
import json, os, resource, signal, socket, time
target = json.loads({target!r})
def read(path):
    with open(path, "rb") as file:
        return file.read(64)
def read_memory(pid):
    with open(f"/proc/{{pid}}/maps") as maps:
        start = int(maps.readline().partition("-")[0], 16)
    with open(f"/proc/{{pid}}/mem", "rb") as memory:
        memory.seek(start)
        return memory.read(16)
def is_unlimited(kind, most):
    limit = resource.getrlimit(kind)[1]
    return limit == resource.RLIM_INFINITY or limit > most
def make(name, attempt):
    try:
        reached = attempt()
    except (OSError, MemoryError):
        reached = False
    print({got_there!r} if reached else {kept_out!r}, name, flush=True)
"""

ATTEMPTS: Mapping[str, str] = {
    "inherit the server's environment": f"""
        return any({SECRET!r} in text for text in os.environ.values())""",
    "inherit the server's file descriptors": """
        open_ones = [int(name) for name in os.listdir("/proc/self/fd")]
        return any(os.path.exists(f"/proc/self/fd/{one}") for one in open_ones if one > 2)""",
    "read the server's memory": """
        return read_memory(target["server"])""",
    "read the server's environment": f"""
        with open(f"/proc/{{target['server']}}/environ", "rb") as environment:
            return {SECRET.encode()!r} in environment.read()""",
    "read a runner's memory": """
        return read_memory(target["runner"])""",
    "read a runner's environment": """
        return read(f"/proc/{target['runner']}/environ")""",
    "reach what starts other jobs' processes": """
        descriptors = [one for one in os.listdir(f"/proc/{target['starter']}/fd") if int(one) > 2]
        return bool(descriptors)""",
    "fill the memory": f"""
        return bytearray({2 * MEMORY})""",
    "compute for ever": """
        while not is_unlimited(resource.RLIMIT_CPU, 60):
            pass
        return True""",
    "fill the process table": f"""
        if is_unlimited(resource.RLIMIT_NPROC, {PROCESSES}):
            return True
        for _ in range({PROCESSES}):
            if os.fork() == 0:
                signal.pause()
        return True""",
    "open files without end": f"""
        return [open("/dev/null") for _ in range({OPEN_FILES})]""",
    "write a file without end": f"""
        with open("large", "wb") as file:
            file.truncate({FILE_SIZE + 1})
        return True""",
    "read the store": """
        return read(target["store"])""",
    "read the administrator's token": """
        return read(target["token"])""",
    "read another job's log": """
        return read(target["log"])""",
    "read another job's results": """
        return read(target["result"])""",
    "read another session's files": """
        return read(target["session_file"])""",
    "connect to a runner's socket": """
        socket.socket(socket.AF_UNIX).connect(target["socket"])
        return True""",
    "signal the server": """
        os.kill(target["server"], signal.SIGCONT)
        return True""",
    "signal a runner": """
        os.kill(target["runner"], signal.SIGCONT)
        return True""",
    "signal another job": """
        os.kill(target["job"], signal.SIGCONT)
        return True""",
    "see other processes": """
        return os.path.exists(f"/proc/{target['server']}")""",
    "fill the disk by many files": f"""
        for number in range(3):
            with open(f"file-{{number}}", "wb") as file:
                file.truncate({FILE_SIZE})
        return True""",
}


# Each takes a job of its own, since the job may not live to tell.
ALONE = frozenset({"fill the memory", "compute for ever", "fill the process table"})


def scripts() -> list[Sequence[str]]:
    """The attempts that are made by one job each."""
    return [[name for name in ATTEMPTS if name not in ALONE], *([name] for name in sorted(ALONE))]


def script(attempts: Sequence[str], target: Target) -> str:
    """A shell script that makes attempts, one after the other."""
    head = _HEAD.format(target=json.dumps(asdict(target)), got_there=GOT_THERE, kept_out=KEPT_OUT)
    makes = [f"def attempt():{ATTEMPTS[name]}\nmake({name!r}, attempt)\n" for name in attempts]
    return f"{shlex.quote(sys.executable)} -I - <<'END'\n{head}{''.join(makes)}END\n"
