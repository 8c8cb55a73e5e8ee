"""Where the service is and with which token, from the environment and the data directory."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from entrance.client import errors

DEFAULT_TARGET = "127.0.0.1:9104"
TOKEN_FILE = "admin.token"
ENDPOINTS_FILE = "endpoints.json"

_LOCAL_HOSTS = ("127.", "localhost:", "[::1]:", "unix:")


@dataclass(frozen=True, slots=True)
class Access:
    """A target with its token; None where there is none to be found."""

    target: str
    token: str | None


def discover(
    target: str | None = None,
    token: str | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
) -> Access:
    """Fills in what the caller does not say.

    Args:
        target: Where the service listens. Unset: ENTRANCE_TARGET, else what `entrance serve` wrote
            into the data directory, else 127.0.0.1:9104.
        token: The caller's token. Unset: ENTRANCE_TOKEN, else, for a service on this machine alone,
            the administrator's token in the data directory, else none.
        environment: Where the variables are looked up.

    Raises:
        EntranceError: a file that is there can't be read.
    """
    folder = data_dir(environment)
    found_target = target or environment.get("ENTRANCE_TARGET") or _served_target(folder)
    found_token = token or environment.get("ENTRANCE_TOKEN")
    if not found_token and is_local(found_target):
        found_token = read_token(folder / TOKEN_FILE)
    return Access(found_target, found_token or None)


def is_local(target: str) -> bool:
    """Whether a target is on this machine."""
    return target.startswith(_LOCAL_HOSTS)


def data_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """ENTRANCE_DATA_DIR, else `entrance` in XDG_DATA_HOME, else `~/.local/share/entrance`."""
    if chosen := environment.get("ENTRANCE_DATA_DIR"):
        return Path(chosen).expanduser()
    base = environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "entrance"


def read_token(path: Path) -> str | None:
    """The token in a file; None when there is no such file.

    Raises:
        EntranceError: the file can't be read.
    """
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise errors.EntranceError(
            f"the token file {path} can't be read: {error}", reason="UNREADABLE_TOKEN"
        ) from error


def _served_target(folder: Path) -> str:
    try:
        endpoints = json.loads((folder / ENDPOINTS_FILE).read_text())
        host, port = endpoints["grpc"]["host"], endpoints["grpc"]["port"]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    except (OSError, ValueError, LookupError, TypeError):
        return DEFAULT_TARGET
