"""How many files and connections a process may have open."""

from __future__ import annotations

import resource

_ENDLESS = resource.RLIM_INFINITY


def allow_descriptors(count: int) -> bool:
    """Raises this process's limit to `count`, or as far as it may; whether there may be so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == _ENDLESS or soft >= count:
        return True
    is_enough = hard == _ENDLESS or hard >= count
    resource.setrlimit(resource.RLIMIT_NOFILE, (count if is_enough else hard, hard))
    return is_enough
