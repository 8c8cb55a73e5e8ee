"""Named connections to databases: where they lead, who may use them, and their passwords.

A job names one by the startup setting `<engine type>.connection`. What is behind the name goes to
the engine alone: it is in no request, no log, no process list and no database.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr

from entrance_server.engines.failures import SessionRefused


class Connection(BaseModel):
    """A database as an operator configures it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    engine: str
    """The engine that connects: `adbc`, `trino` or `spark`."""
    url: str
    """Where the database is, without a password."""
    password: SecretStr | None = None
    """The password, unless it is in a file."""
    password_file: Path | None = None
    """A file with the password, which is read for each new session."""
    users: frozenset[str] | None = None
    """Who may use it; unset means everybody."""

    def permits(self, user: str) -> bool:
        """Whether jobs of a user may use it."""
        return self.users is None or user in self.users

    def secrets(self) -> Mapping[str, str]:
        """What the engine needs to connect. Reads a file.

        Raises:
            OSError, UnicodeDecodeError: the file with the password can't be read.
        """
        if self.password_file is not None:
            password = self.password_file.read_text().rstrip("\n")
        else:
            password = self.password.get_secret_value() if self.password else ""
        return {"url": self.url, "password": password}


def setting_of(engine_type: str) -> str:
    """The startup setting by which a job names a connection of an engine."""
    return f"{engine_type}.connection"


class Connections:
    """The connections of this installation, by name."""

    def __init__(self, connections: Mapping[str, Connection]) -> None:
        self._connections = dict(connections)

    def has(self, engine_type: str) -> bool:
        """Whether there are any for an engine, whoever may use them."""
        return any(one.engine == engine_type for one in self._connections.values())

    def offered(self, engine_type: str, user: str) -> list[str]:
        """The names of those that a user's jobs may use with an engine."""
        return sorted(
            name
            for name, one in self._connections.items()
            if one.engine == engine_type and one.permits(user)
        )

    def problem(self, engine_type: str, user: str, name: str | None) -> str | None:
        """What is wrong with a name, as the end of a sentence; None for nothing."""
        offered = self.offered(engine_type, user)
        if name in offered:
            return None
        if not offered:
            none = f"there is no connection of engine {engine_type} for {user}"
            return f"is needed, but {none}; ask for one"
        wrong = "is missing" if name is None else f"names no connection for {user}"
        return f"{wrong}; name one of: {', '.join(offered)}"

    def secrets(self, engine_type: str, user: str, options: Mapping[str, str]) -> Mapping[str, str]:
        """What the connection that the startup settings name needs; nothing when they name none.

        Blocks.

        Raises:
            SessionRefused: there is no such connection for the user any more, or its password
                can't be read.
        """
        name = options.get(setting_of(engine_type))
        if name is None:
            return {}
        if problem := self.problem(engine_type, user, name):
            raise SessionRefused(f"the setting {setting_of(engine_type)} {problem}")
        try:
            return self._connections[name].secrets()
        except (OSError, UnicodeDecodeError):
            raise SessionRefused(f"the password of the connection {name} can't be read") from None
