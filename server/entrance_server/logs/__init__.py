"""Job logs: append, index, read from a line on, follow, split by level."""

from entrance_server.logs.files import LogSlice
from entrance_server.logs.followers import Follower
from entrance_server.logs.lines import format_line
from entrance_server.logs.store import Head, LogStore, LogUnavailable

__all__ = ["Follower", "Head", "LogSlice", "LogStore", "LogUnavailable", "format_line"]
