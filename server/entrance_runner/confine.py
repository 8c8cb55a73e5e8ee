"""Run in a new process before user code: gives up what the code must not have, then becomes it.

The starter does it between fork and exec. Where it can't, in a sandbox and for a program that
another library starts, it is a program: `python -I -S confine.py STEPS command …`, where STEPS is
what `encoded` makes. So it imports nothing of ours, to start wherever its file can be read.
Variables for the code have a prefix there until the last step, so that none of them acts on what
still has rights, as LD_PRELOAD would.
"""

from __future__ import annotations

import marshal
import os
import resource
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping
    from typing import Any
else:
    import _signal as signal  # what is around it takes as long to import as Python to start

PR_SET_NO_NEW_PRIVS = 38
REFUSED = 126  # the exit status when a command can't be run
PREFIX = "_CODE_"
IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)  # by Python
GUARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def encoded(steps: Mapping[str, Any]) -> str:
    """The steps, plain values alone, as an argument for the same Python."""
    return marshal.dumps(dict(steps)).hex()


def main() -> None:
    """Does what the first argument says, and becomes the command that the others are."""
    steps: Mapping[str, Any] = marshal.loads(bytes.fromhex(sys.argv[1]))
    command = sys.argv[2:]
    try:
        give_up(steps)
        os.execvpe(command[0], command, _environment(last=steps.get("last", True)))
    except (OSError, ValueError) as error:
        print(f"the code can't be run as this installation asks for: {error}", file=sys.stderr)
        sys.exit(REFUSED)


def give_up(steps: Mapping[str, Any]) -> None:
    """Takes from this process what the steps say, for good, but for their variables.

    Raises:
        OSError, ValueError: it can't be done.
    """
    if group := steps.get("cgroup"):
        with open(f"{group}/cgroup.procs", "w", encoding="ascii") as processes:
            processes.write("0")
    limit(steps.get("limits", {}))
    if steps.get("locked"):
        _forbid_privileges()  # first, since the account may not be able to read Python's files
    if account := steps.get("account"):
        _become(account)
    if directory := steps.get("directory"):
        os.chdir(directory)
    _set_signals(steps.get("last", True))


def limit(limits: Mapping[str, int]) -> None:
    """Limits this process and what it starts, by names of the module `resource`.

    Raises:
        OSError, ValueError: it can't be done.
    """
    for name, most in limits.items():
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(kind, (most, most))


def _environment(*, last: bool) -> dict[str, str]:
    given = {name: text for name, text in os.environ.items() if name.startswith(PREFIX)}
    return {name.removeprefix(PREFIX): text for name, text in given.items()} if last else given


def _become(account: Mapping[str, Any]) -> None:
    os.setgroups(account["groups"])
    os.setresgid(account["gid"], account["gid"], account["gid"])
    os.setresuid(account["uid"], account["uid"], account["uid"])


def _forbid_privileges() -> None:
    import ctypes  # here, since few need it

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "set-user-ID programs can't be kept from working")


def _set_signals(last: bool) -> None:
    """What a kill sends is for the code, and not for the processes around its sandbox."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_DFL)
    for number in GUARDED:
        signal.signal(number, signal.SIG_DFL if last else signal.SIG_IGN)


if __name__ == "__main__":
    main()
