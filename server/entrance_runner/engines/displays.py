"""What Python code displays, as result files, for every engine that runs Python by IPython."""

# mypy: disallow-untyped-calls=false
# IPython has few types

from __future__ import annotations

import base64
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.formatters import DisplayFormatter

from entrance_runner.engines.kernel_messages import RESULT
from entrance_runner.results import CONTENTS, ResultDirectory, ResultFile

if TYPE_CHECKING:
    import pyarrow as pa

_TABLE = "application/vnd.entrance.table"  # the object itself; never leaves the process
_BATCH_ROWS = 16 * 1024


class ResultStore:
    """Writes what a run displays; takes nothing between runs."""

    def __init__(self) -> None:
        self._directory: ResultDirectory | None = None
        self._lock = threading.Lock()

    def begin(self, directory: ResultDirectory) -> None:
        """Takes results for a directory."""
        self._directory = directory

    def end(self) -> None:
        """Takes no more."""
        self._directory = None

    def note(self, bundle: Mapping[str, Any]) -> dict[str, Any]:
        """Writes an object; the note about it, perhaps empty."""
        file = self.write(bundle)
        return {RESULT: file.to_json()} if file else {}

    def write(self, bundle: Mapping[str, Any]) -> ResultFile | None:
        """Writes an object by the best of its representations, if it has one that can be kept."""
        with self._lock:
            return self._write(self._directory, bundle) if self._directory else None

    def write_table(self, directory: ResultDirectory, table: Any) -> ResultFile:
        """Writes a table; as text where its content can't be one."""
        try:
            return directory.add_table(_rows(table))
        except Exception as error:
            print(f"shown as text, since it can't be a table: {error}", file=sys.stderr)
            return directory.add_content("text/plain", _content("text/plain", repr(table)))

    def _write(self, directory: ResultDirectory, bundle: Mapping[str, Any]) -> ResultFile | None:
        if _TABLE in bundle:
            return self.write_table(directory, bundle[_TABLE])
        for media_type in CONTENTS:
            if media_type in bundle:
                return directory.add_content(media_type, _content(media_type, bundle[media_type]))
        return None


class ResultFormatter(DisplayFormatter):
    """Gives a table as it is, and all else in the representations that IPython makes."""

    def format(
        self, obj: object, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The representations of an object, and what is to be known about them."""
        if self.is_table(obj):
            return {_TABLE: obj}, {}
        bundle: tuple[dict[str, Any], dict[str, Any]] = super().format(obj, include, exclude)
        return bundle

    def is_table(self, obj: object) -> bool:
        """Whether an object becomes a table."""
        cls = type(obj)
        return hasattr(cls, "__arrow_c_stream__") and (
            hasattr(cls, "columns") or hasattr(cls, "schema")
        )


def _rows(table: Any) -> pa.RecordBatchReader:
    import pyarrow as pa

    if type(table).__module__.partition(".")[0] == "pandas":
        return _arrow_table(table).to_reader(_BATCH_ROWS)
    return pa.RecordBatchReader.from_stream(table)


def _arrow_table(frame: Any) -> pa.Table:
    import pyarrow as pa

    try:
        table = pa.Table.from_pandas(frame)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # a column of values of several types
        frame = frame.copy(deep=False)
        for name in frame.select_dtypes("object").columns:
            frame[name] = frame[name].map(str, na_action="ignore")
        table = pa.Table.from_pandas(frame)
    return table.rename_columns([_column_name(name) for name in table.column_names])


def _column_name(name: str) -> str:
    """Names an index that has no name as pandas shows it."""
    level = name.removeprefix("__index_level_").removesuffix("__")
    if level == name:
        return name
    return "index" if level == "0" else f"index_{level}"


def _content(media_type: str, data: Any) -> bytes:
    if isinstance(data, bytes):
        return data
    text = str(data)
    if media_type in ("image/png", "image/jpeg"):
        return base64.b64decode(text)
    return text.encode(errors="backslashreplace")  # text may hold what UTF-8 can't
