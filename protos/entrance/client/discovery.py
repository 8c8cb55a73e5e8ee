"""Where the service is and how it is called, from the environment and the data directory."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from entrance import hosts
from entrance.client import errors
from entrance.tls import TlsError, TlsFiles

DEFAULT_TARGET = "127.0.0.1:9104"
TOKEN_FILE = "admin.token"
ENDPOINTS_FILE = "endpoints.json"

_YES = ("1", "true", "yes", "on")


@dataclass(frozen=True, slots=True)
class Access:
    """A target with its token and its TLS; None where there is none."""

    target: str
    token: str | None
    tls: TlsFiles | None = None


def discover(
    target: str | None = None,
    token: str | None = None,
    *,
    tls: TlsFiles | None = None,
    insecure: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Access:
    """Fills in what the caller does not say.

    Args:
        target: Where the service listens. Unset: ENTRANCE_TARGET, else what `entrance serve` wrote
            into the data directory, else 127.0.0.1:9104.
        token: The caller's token. Unset: ENTRANCE_TOKEN, else, for a service on this machine alone,
            the administrator's token in the data directory, else none.
        tls: Whom to trust, and the caller's own certificate. Unset: ENTRANCE_CLIENT_TLS_CA,
            ENTRANCE_CLIENT_TLS_CERT and ENTRANCE_CLIENT_TLS_KEY, or with ENTRANCE_CLIENT_TLS=true
            alone the authorities of the system, else no TLS.
        insecure: Call another machine without TLS. Unset: ENTRANCE_CLIENT_INSECURE=true, else no.
        environment: Where the variables are looked up.

    Raises:
        EntranceError: a file that is there can't be read, or a token would go to another machine in
            clear.
    """
    folder = data_dir(environment)
    found_target = target or environment.get("ENTRANCE_TARGET") or _served_target(folder)
    found_token = token or environment.get("ENTRANCE_TOKEN")
    if not found_token and hosts.is_local(found_target):
        found_token = read_token(folder / TOKEN_FILE)
    access = Access(found_target, found_token or None, tls or _tls(environment))
    if not (insecure or _says_yes(environment, "ENTRANCE_CLIENT_INSECURE")):
        _require_protection(access)
    return access


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


def _tls(environment: Mapping[str, str]) -> TlsFiles | None:
    names = ("ENTRANCE_CLIENT_TLS_CERT", "ENTRANCE_CLIENT_TLS_KEY", "ENTRANCE_CLIENT_TLS_CA")
    paths = [Path(value) if (value := environment.get(name)) else None for name in names]
    if not any(paths) and not _says_yes(environment, "ENTRANCE_CLIENT_TLS"):
        return None
    try:
        return TlsFiles(*paths)
    except TlsError as error:
        raise errors.EntranceError(str(error), reason="WRONG_TLS") from None


def _says_yes(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").lower() in _YES


def _require_protection(access: Access) -> None:
    if access.token and access.tls is None and not hosts.is_local(access.target):
        raise errors.EntranceError(
            f"The token would go to {access.target} in clear. Name the authorities that vouch for "
            "it (--tls-ca or ENTRANCE_CLIENT_TLS_CA), use the system's (--tls or "
            "ENTRANCE_CLIENT_TLS=true), or say that the network is trusted (--insecure or "
            "ENTRANCE_CLIENT_INSECURE=true).",
            reason="INSECURE",
        )


def _served_target(folder: Path) -> str:
    try:
        endpoints = json.loads((folder / ENDPOINTS_FILE).read_text())
        if socket := endpoints["grpc"].get("socket"):
            return f"unix:{socket}"
        host, port = endpoints["grpc"]["host"], endpoints["grpc"]["port"]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return DEFAULT_TARGET
