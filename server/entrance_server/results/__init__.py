"""Result sets of jobs: tables as Parquet, texts, pictures and pages as they are."""

from entrance_server.results.files import ResultFiles, ResultRejected, ResultUnavailable

__all__ = ["ResultFiles", "ResultRejected", "ResultUnavailable"]
