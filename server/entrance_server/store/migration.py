"""Brings a database to the schema of this release."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from entrance_server.store.port import SchemaTooNew


def migrate(connection: Connection, to: str = "head") -> None:
    """Runs the revisions that are missing, in the transaction of the connection.

    Args:
        connection: To the database.
        to: The last revision; the newest one unless said otherwise.

    Raises:
        SchemaTooNew: the database has a revision that this release does not know.
    """
    config = _config()
    config.attributes["connection"] = connection
    unknown = set(MigrationContext.configure(connection).get_current_heads()) - set(revisions())
    if unknown:
        raise SchemaTooNew(", ".join(sorted(unknown)))
    command.upgrade(config, to)


def revisions() -> list[str]:
    """The revisions that this release knows, from the first to the newest."""
    scripts = ScriptDirectory.from_config(_config())
    return [script.revision for script in scripts.walk_revisions()][::-1]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "entrance_server.store:migrations")
    return config
