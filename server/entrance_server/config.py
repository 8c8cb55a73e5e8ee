"""Every setting of the server, read once and passed down as typed values."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PositiveInt = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]


def default_data_dir() -> Path:
    """`$XDG_DATA_HOME/entrance`, or `~/.local/share/entrance`."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "entrance"


class ServerSettings(BaseSettings):
    """Settings of one server; each is also read from `ENTRANCE_<NAME>` in the environment."""

    model_config = SettingsConfigDict(env_prefix="ENTRANCE_", frozen=True)

    data_dir: Path = Field(default_factory=default_data_dir)
    """Where the database, logs, results and the administrator's token are."""
    host: str = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 9104
    """The gRPC port; 0 takes a free one."""
    instance: str = ""
    """The instance name in execIDs; empty means `<host name>:<port>` of the first start."""
    store_url: str = ""
    """The store as an SQLAlchemy URL; empty means SQLite in the data directory."""

    engines: tuple[str, ...] = ()
    """Engine types to offer; empty means all that are installed."""
    engine_aliases: dict[str, str] = Field(default_factory=dict)
    """Further names of engine types, such as `{"hive": "duckdb"}`."""
    python_executable: str = ""
    """The Python of runners and of Python jobs; empty means the server's own."""

    max_code_bytes: PositiveInt = 1024 * 1024
    """The largest code that a submit may carry."""
    group_running: PositiveInt = 30
    """Jobs of one group (user, creator, engine type) that run at once."""
    group_waiting: PositiveInt = 1_000
    """Jobs of one group that wait at most."""
    max_running: PositiveInt = 32
    """Jobs of all groups that run at once."""
    max_sessions: PositiveInt = 64
    """Engine sessions, busy and idle; the oldest idle one is closed when another is needed."""
    warm_runners: Annotated[int, Field(ge=0)] = 1
    """Runner processes that wait, started, for a session."""
    session_idle_timeout: Seconds = 1_800.0
    """Seconds after which an idle session is closed, and its variables are gone."""
    session_open_timeout: Seconds = 60.0
    """Seconds that an engine may take to start."""
    orphan_timeout: Seconds = 600.0
    """Seconds after which a runner that no server asks for ends by itself."""
    kill_grace: Seconds = 3.0
    """Seconds that a killed job has to end by itself, before its processes are ended by force."""

    max_streams_per_user: PositiveInt = 1_000
    """Streams (log, progress, watch, results) that one user may have open at once."""
    shutdown_grace: Seconds = 5.0
    """Seconds that calls have to finish when the server stops."""

    @property
    def database_url(self) -> str:
        """The store's URL, with the default filled in."""
        return self.store_url or f"sqlite:///{self.data_dir / 'entrance.db'}"
