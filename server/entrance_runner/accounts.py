"""The OS accounts that user code runs as."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class NoAccount(Exception):
    """A user has no account that code may run as; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this machine, never root's."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str

    @classmethod
    def named(cls, name: str) -> Account:
        """The account with this name.

        Raises:
            NoAccount: there is none, or it is root's.
        """
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            raise NoAccount(f"this machine has no account {name!r}") from None
        if found.pw_uid == 0:
            raise NoAccount(f"user code must not run as {name}, since that is root")
        groups = tuple(os.getgrouplist(name, found.pw_gid))
        return cls(name, found.pw_uid, found.pw_gid, groups, found.pw_dir)

    def to_json(self) -> dict[str, Any]:
        """What a process needs to become this account."""
        return {"uid": self.uid, "gid": self.gid, "groups": list(self.groups)}


def account_of(user: str, *, user_map: Mapping[str, str], run_as: str) -> Account:
    """The account for a user of the service.

    Raises:
        NoAccount: neither the map nor `run_as` gives one.
    """
    name = user_map.get(user, run_as)
    if not name:
        raise NoAccount(f"the user {user} has no account here; add one to the setting user_map")
    return Account.named(name)
