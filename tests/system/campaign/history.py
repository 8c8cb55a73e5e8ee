"""What a campaign recorded, and all that the validator sees; kept as JSON lines too."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self, TypeVar

RecordType = TypeVar("RecordType", bound="Record")


@dataclass(frozen=True, slots=True)
class Record:
    """Something that happened. Times are seconds since the epoch, of this one machine."""


@dataclass(frozen=True, slots=True)
class Plan(Record):
    """A job that somebody wants to run, and what must come of it."""

    token: str
    """Names the job in its request id, its `source` and each line that it prints."""
    user: str
    kind: str
    engine: str
    run_type: str
    code: str
    lines: Sequence[str] = ()
    """How its printed lines begin, in order."""
    rows: Sequence[Sequence[Sequence[str]]] = ()
    """The rows of each result set."""
    status: str = "Succeed"
    """How it ends when nothing is done to it."""
    error: str = ""
    """What its error then says."""


@dataclass(frozen=True, slots=True)
class Call(Record):
    """A call with one answer; `code` is OK or a word of `model`."""

    actor: str
    via: str
    op: str
    token: str
    task_id: int
    start: float
    end: float
    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Seen(Record):
    """A job's state as an answer or a stream told it."""

    actor: str
    task_id: int
    start: float
    end: float
    status: str


@dataclass(frozen=True, slots=True)
class Lines(Record):
    """Successive lines of a log, as one observer got them."""

    observer: str
    task_id: int
    first: int
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Followed(Record):
    """A follower's log came to its end."""

    observer: str
    task_id: int
    next_line: int
    status: str


@dataclass(frozen=True, slots=True)
class Rows(Record):
    """A result set as one client read it."""

    actor: str
    task_id: int
    index: int
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Survivor(Record):
    """A process of a job that lived on after the job's kill was acknowledged."""

    task_id: int
    pid: int


@dataclass(frozen=True, slots=True)
class Fault(Record):
    """A fault while it lasted; `end` is when what it hit was whole again."""

    kind: str
    start: float
    end: float
    sessions: Sequence[str] = ()
    """The sessions whose processes it ended."""


@dataclass(frozen=True, slots=True)
class Skipped(Record):
    """A fault that was due, and could not be made here."""

    kind: str
    why: str


@dataclass(frozen=True, slots=True)
class Final(Record):
    """A job after everything was over."""

    task_id: int
    token: str
    status: str
    error_code: int
    error: str
    session_id: str
    created: float
    ended: float
    results: int
    started: float = 0.0
    """0 for a job that never ran."""


@dataclass(frozen=True, slots=True)
class FinalLog(Record):
    """A job's whole log after everything was over."""

    task_id: int
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Residue(Record):
    """Something that was left after everything was stopped."""

    what: str


@dataclass(frozen=True, slots=True)
class Crash(Record):
    """A program ended though nobody had killed it."""

    program: str
    status: int


@dataclass(frozen=True, slots=True)
class Memory(Record):
    """How much memory a program had."""

    program: str
    bytes: int


TYPES = {cls.__name__: cls for cls in Record.__subclasses__()}


@dataclass(slots=True)
class History:
    """The records in the order in which they came."""

    records: list[Record] = field(default_factory=list)
    file: IO[str] | None = None

    def add(self, record: Record) -> None:
        """Keeps a record."""
        self.records.append(record)
        if self.file is not None:
            self.file.write(_to_json(record) + "\n")

    def of(self, cls: type[RecordType]) -> Iterator[RecordType]:
        """The records of a type."""
        return (record for record in self.records if isinstance(record, cls))

    @classmethod
    def load(cls, path: Path) -> Self:
        """The records that a campaign left in a file."""
        with path.open() as lines:
            return cls(list(_from_json(lines)))


def _to_json(record: Record) -> str:
    return json.dumps([type(record).__name__, dataclasses.asdict(record)])


def _from_json(lines: Iterable[str]) -> Iterator[Record]:
    for line in lines:
        name, fields = json.loads(line)
        yield TYPES[name](**{key: _frozen(value) for key, value in fields.items()})


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
