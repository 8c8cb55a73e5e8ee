"""What happens to a job's code between submit and run. Pure: no I/O, and no clock of its own."""

from entrance_server.preprocess.pipeline import Dialect, Prepared, prepare, statements
from entrance_server.preprocess.settings import PreprocessSettings

__all__ = ["Dialect", "Prepared", "PreprocessSettings", "prepare", "statements"]
