"""Result sets of jobs: tables as Parquet, texts, pictures and pages as they are."""

from entrance_server.results.errors import PageTooLarge, ResultRejected, ResultUnavailable
from entrance_server.results.exports import Exports
from entrance_server.results.files import ResultFiles
from entrance_server.results.window import Window

__all__ = [
    "Exports",
    "PageTooLarge",
    "ResultFiles",
    "ResultRejected",
    "ResultUnavailable",
    "Window",
]
