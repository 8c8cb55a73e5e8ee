"""The process that starts others for the runner, which is too large to be forked for each of them.

It is forked from the runner while that is small and has one thread, has one thread itself, and so
may do between fork and exec whatever the code must have lost by then (see `confine`). Where that is
nothing but limits it takes them on itself, since to fork a Python takes longer than a shell does.
It adopts the orphans of what it started, reaps them, and so knows when nothing is left.

For each process the runner sends a message of one byte with descriptors: that of a conversation,
that of the process's output, and those to pass on. Over the conversation comes an `Order` as a line
of JSON; answered are `{"pid": …}` or `{"refused": why}`, and after the process's end
`{"status": …, "alone": whether nothing is left below this one}`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from entrance_runner import confine, prctl

MOST_DESCRIPTORS = 16
_FIRST_FREE = 3  # after those of input, output and errors
# What the starter itself needs of each limit that it can take on. All that it starts has the same.
_NEEDED = {
    "RLIMIT_CORE": 0,
    "RLIMIT_FSIZE": 0,
    "RLIMIT_DATA": 64 * 1024 * 1024,  # bytes
    "RLIMIT_NOFILE": 256,
    "RLIMIT_NPROC": 1024,
}


class Order(NamedTuple):  # a dataclass brings half as much again into each fork
    """What to start: `steps` are those of `confine`, `cores` None where all will do.

    The descriptors that are passed on get the numbers `descriptors`.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    directory: str
    steps: Mapping[str, Any]
    cores: Sequence[int] | None = None
    descriptors: Sequence[int] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the program can be started without a process that prepares it."""
        steps = self.steps
        return (
            os.path.isabs(self.command[0])
            and not (self.descriptors or steps.get("cgroup") or steps.get("account"))
            and not steps.get("locked")
            and steps.get("last", True)
            and all(
                name in _NEEDED and most >= _NEEDED[name]
                for name, most in steps.get("limits", {}).items()
            )
        )

    def to_line(self) -> bytes:
        """As a line of JSON."""
        return json.dumps(self._asdict()).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Order:
        """What `to_line` gave."""
        return cls(**json.loads(line))


@contextlib.contextmanager
def forked() -> Iterator[tuple[socket.socket, int]]:
    """A starter, as the socket that leads to it and its pid; it is killed with the block."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            _StarterProcess(theirs).serve()
        finally:
            os._exit(0)
    theirs.close()
    try:
        yield ours, pid
    finally:
        ours.close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


class _StarterProcess:
    """Serves until the runner is gone."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._conversations: dict[int, socket.socket] = {}

    def serve(self) -> None:
        prctl.become_subreaper()
        _keep_to_itself()
        control = self._control.fileno()
        with _woken_by_ends() as ends:
            while True:
                ready, _, _ = select.select([control, ends], [], [])
                if ends in ready:
                    os.read(ends, select.PIPE_BUF)
                    self._reap()
                if control in ready and not self._take():
                    return

    def _take(self) -> bool:
        """Takes a message; False when there is no runner any more."""
        message, descriptors, _, _ = socket.recv_fds(self._control, 1, MOST_DESCRIPTORS)
        if not message:
            return False
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        conversation = socket.socket(fileno=descriptors[0])
        with conversation.makefile("rb") as lines:
            line = lines.readline()
        if line:
            self._start(Order.from_line(line), descriptors[1:], conversation)
        for descriptor in descriptors[1:]:
            os.close(descriptor)
        return True

    def _start(self, order: Order, descriptors: Sequence[int], conversation: socket.socket) -> None:
        try:
            pid = _spawned(order, *descriptors) if order.is_plain else _forked(order, descriptors)
        except (OSError, ValueError) as error:
            _tell(conversation, refused=str(error))
        else:
            self._conversations[pid] = conversation
            _tell(conversation, pid=pid)

    def _reap(self) -> None:
        ended: dict[int, int] = {}
        alone = False
        try:
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                ended.update([found])
        except ChildProcessError:
            alone = True
        for pid, status in ended.items():
            if conversation := self._conversations.pop(pid, None):  # else it was an orphan
                with conversation:
                    _tell(conversation, status=os.waitstatus_to_exitcode(status), alone=alone)


def _tell(conversation: socket.socket, **message: object) -> None:
    with contextlib.suppress(OSError):  # nobody waits any more
        conversation.sendall(json.dumps(message).encode() + b"\n")


def _keep_to_itself() -> None:
    """Lets go of what is the runner's, and of what ends the runner: its end is this one's too."""
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    for number in confine.GUARDED:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def _woken_by_ends() -> Iterator[int]:
    """A descriptor that can be read once a child has ended."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    yield reading


def _spawned(order: Order, output: int) -> int:
    """Starts a program in place of a copy of this process, and gives its pid.

    Raises:
        OSError, ValueError: it can't be started as it is ordered.
    """
    confine.limit(order.steps.get("limits", {}))  # this process too, as the cores until the next
    if order.cores is not None:
        os.sched_setaffinity(0, order.cores)
    os.chdir(order.steps.get("directory", order.directory))
    try:
        return os.posix_spawn(
            order.command[0],
            list(order.command),
            order.environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, output, number) for number in (1, 2)],
            setsid=True,
            setsigdef=(*confine.IGNORED, *confine.GUARDED),
        )
    finally:
        os.chdir("/")


def _forked(order: Order, descriptors: Sequence[int]) -> int:
    """Starts a process that becomes the program, and gives its pid.

    Raises:
        OSError: it can't be started as it is ordered.
    """
    reading, writing = os.pipe()  # which the new program has not, so that its start ends it
    pid = os.fork()
    if pid == 0:
        try:
            _become(order, [*descriptors, writing])
        finally:
            os._exit(confine.REFUSED)
    os.close(writing)
    with open(reading, "rb") as refusals:
        refusal = refusals.read()
    if refusal:
        os.waitpid(pid, 0)
        raise OSError(refusal.decode())
    return pid


def _become(order: Order, descriptors: Sequence[int]) -> None:
    """Becomes the ordered program; the last descriptor is for the reason why it can't."""
    output, *passed, refusal = _out_of_the_way(descriptors, order.descriptors)
    try:
        os.setsid()
        for number in (1, 2):
            os.dup2(output, number)
        for descriptor, number in zip(passed, order.descriptors, strict=True):
            os.dup2(descriptor, number)
        if order.cores is not None:
            os.sched_setaffinity(0, order.cores)
        os.chdir(order.directory)
        confine.give_up(order.steps)
        os.execvpe(order.command[0], list(order.command), order.environment)
    except (OSError, ValueError) as error:
        os.write(refusal, str(error).encode())


def _out_of_the_way(descriptors: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """Copies of descriptors above the numbers that others are to get."""
    first = max([*wanted, _FIRST_FREE - 1]) + 1
    return [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, first) for one in descriptors]
