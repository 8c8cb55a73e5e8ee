"""Where jobs are durable: the port, and its implementation on SQLAlchemy."""

from entrance_server.store.sql import SqlStore

__all__ = ["SqlStore"]
