"""The streams of a job: where each stands, so that a new one goes on where the last one broke."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from entrance.client import arrow, errors, models, wire
from entrance.v1 import entrance_pb2 as pb

if TYPE_CHECKING:
    import pyarrow

T = TypeVar("T")


class Follow(ABC, Generic[T]):
    """The state of one followed stream.

    A skin opens `rpc` with `request()` and hands every message to `take`. When the stream breaks,
    or ends before `ended`, it does so again.
    """

    rpc: ClassVar[str]

    def __init__(self, id: str) -> None:
        self.id = id
        self.ended = False

    @abstractmethod
    def request(self) -> Any:
        """The request with which a new stream goes on from here."""

    @abstractmethod
    def take(self, message: Any) -> Iterable[T]:
        """What is new in a message."""

    def close(self) -> errors.Unavailable:
        """Takes note that the service ended the stream; the error is for an end too early."""
        return errors.Unavailable(f"the stream of job {self.id} was cut", reason="STREAM_CUT")


class LogFollow(Follow[models.LogLine]):
    """A followed log; each line is given once, whatever a new stream sends again."""

    rpc = "StreamLog"

    def __init__(self, id: str, from_line: int, levels: Sequence[models.LogLevel]) -> None:
        super().__init__(id)
        self.next_line = max(from_line, 1)
        self.levels = tuple(levels)

    def request(self) -> pb.StreamLogRequest:
        """The log from the first line that was not given."""
        levels = [wire.LEVEL_NUMBER[level] for level in self.levels]
        return pb.StreamLogRequest(id=self.id, from_line=self.next_line, levels=levels)

    def take(self, message: pb.StreamLogResponse) -> list[models.LogLine]:
        """The lines of a message that are new."""
        lines = [
            line
            for chunk in message.chunks
            for line in wire.chunk_lines(chunk)
            if line.number >= self.next_line
        ]
        last = lines[-1].number if lines else 0
        self.next_line = max(self.next_line, last + 1, message.next_line)
        self.ended = message.status != pb.JOB_STATUS_UNSPECIFIED
        return lines


class ProgressFollow(Follow[models.Progress]):
    """Followed progress; what is as it was is not given again."""

    rpc = "StreamProgress"
    _last: models.Progress | None = None

    def request(self) -> pb.StreamProgressRequest:
        """The progress from now on."""
        return pb.StreamProgressRequest(id=self.id)

    def take(self, message: pb.StreamProgressResponse) -> list[models.Progress]:
        """The progress, when it has changed."""
        progress = wire.progress(message)
        self.ended = progress.status.is_final
        changed = progress != self._last
        self._last = progress
        return [progress] if changed else []


class JobFollow(Follow[models.Job]):
    """A watched job; what is as it was is not given again."""

    rpc = "WatchJob"
    last: models.Job | None = None

    def request(self) -> pb.WatchJobRequest:
        """The job from now on."""
        return pb.WatchJobRequest(id=self.id)

    def take(self, message: pb.WatchJobResponse) -> list[models.Job]:
        """The job, when it has changed."""
        job = wire.job(message.job)
        self.ended = job.status.is_final
        changed = job != self.last
        self.last = job
        return [job] if changed else []


class BytesFollow(Follow[bytes]):
    """The content of a result set that is not a table."""

    rpc = "StreamResult"

    def __init__(self, id: str, index: int) -> None:
        super().__init__(id)
        self.index = index
        self._received = 0

    def request(self) -> pb.StreamResultRequest:
        """The content after what has come."""
        return pb.StreamResultRequest(id=self.id, index=self.index, offset=self._received)

    def take(self, message: pb.StreamResultResponse) -> list[bytes]:
        """The next piece."""
        self._received += len(message.data)
        return [message.data] if message.data else []

    def close(self) -> errors.Unavailable:
        """All has come."""
        self.ended = True
        return super().close()


class BatchFollow(Follow["pyarrow.RecordBatch"]):
    """The batches of a table."""

    rpc = "StreamResult"

    def __init__(self, id: str, index: int) -> None:
        super().__init__(id)
        self.index = index
        self._rows = 0
        self._decoder = arrow.BatchDecoder()

    @property
    def schema(self) -> pyarrow.Schema:
        """The table's schema, once the stream has begun."""
        return self._decoder.schema

    def table(self, batches: Sequence[pyarrow.RecordBatch]) -> pyarrow.Table:
        """The table of all batches, which may be none."""
        import pyarrow

        return pyarrow.Table.from_batches(batches, schema=self.schema)

    def request(self) -> pb.StreamResultRequest:
        """The rows after those that have come, as an Arrow stream of its own."""
        self._decoder = arrow.BatchDecoder()
        return pb.StreamResultRequest(id=self.id, index=self.index, offset=self._rows)

    def take(self, message: pb.StreamResultResponse) -> Iterator[pyarrow.RecordBatch]:
        """The batches that a message completes."""
        for batch in self._decoder.feed(message.data):
            self._rows += batch.num_rows
            yield batch

    def close(self) -> errors.Unavailable:
        """All has come, when the Arrow stream has its end."""
        self.ended = self._decoder.ended
        return super().close()
