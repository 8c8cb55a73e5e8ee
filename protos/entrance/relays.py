"""Streams of one server that break: how another one goes on with what was not sent yet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from google.protobuf.message import Message

from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import files_pb2

Answer: TypeAlias = Message | bytes
"""An answer of a server, in wire form where another one sent it."""

FINAL: Final = frozenset(
    {
        pb.JOB_STATUS_SUCCEED,
        pb.JOB_STATUS_FAILED,
        pb.JOB_STATUS_CANCELLED,
        pb.JOB_STATUS_TIMEOUT,
    }
)
"""The states that a job keeps, with which its streams end."""


class Relay(ABC):
    """One caller's stream. Answers are read when the stream breaks, not as they pass."""

    answers: type[Any]

    def __init__(self, request: Any) -> None:
        self._request = request
        self._last: Answer | None = None

    def take(self, answer: Answer) -> Answer | None:
        """What of a server's next answer is to be sent; None when there is nothing new in it."""
        self._last = answer
        return answer

    def resume(self) -> bytes | None:
        """The request by which another server goes on; None when everything was sent."""
        last = None if self._last is None else self._read(self._last)
        return None if last is not None and self._is_end(last) else self._rest(last)

    @abstractmethod
    def _is_end(self, last: Any) -> bool:
        """Whether an answer is the stream's last one."""

    @abstractmethod
    def _rest(self, last: Any | None) -> bytes:
        """The request for what comes after the last answer, if there was one."""

    def _read(self, answer: Answer) -> Any:
        return self.answers.FromString(answer) if isinstance(answer, bytes) else answer

    def _same_request(self) -> bytes:
        whole: bytes = self._request.SerializeToString()
        return whole


class LogRelay(Relay):
    """Lines: the next server sends those from the number on that the last answer told."""

    answers = pb.StreamLogResponse

    def _is_end(self, last: Any) -> bool:
        return last.status in FINAL

    def _rest(self, last: Any | None) -> bytes:
        if last is not None:
            self._request.from_line = last.next_line
        return self._same_request()


class StateRelay(Relay):
    """States, each of them whole: the next server begins with one that may have been sent."""

    _is_first = False

    def take(self, answer: Answer) -> Answer | None:
        """As above, but for a first state that was the last one of the server before."""
        if self._is_first and self._last is not None:
            self._is_first = False
            if self._read(answer) == self._read(self._last):
                return None
        return super().take(answer)

    def _rest(self, last: Any | None) -> bytes:
        self._is_first = True
        return self._same_request()


class ProgressRelay(StateRelay):
    """States of a job's progress."""

    answers = pb.StreamProgressResponse

    def _is_end(self, last: Any) -> bool:
        return last.status in FINAL


class JobRelay(StateRelay):
    """States of a job."""

    answers = pb.WatchJobResponse

    def _is_end(self, last: Any) -> bool:
        return last.job.status in FINAL


class FileRelay(Relay):
    """Bytes that never change: the next server sends them all, and those that were sent are cut."""

    answers = files_pb2.DownloadResponse

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        self._sent = 0
        self._to_cut = 0

    def take(self, answer: Answer) -> Answer | None:
        """As above, without the bytes that were sent."""
        message = self._read(answer)
        cut = min(self._to_cut, len(message.data))
        self._to_cut -= cut
        self._sent += len(message.data) - cut
        is_begun = self._last is not None
        self._last = answer
        if not is_begun:
            return answer
        rest = message.data[cut:]
        return self.answers(data=rest) if rest else None

    def _is_end(self, last: Any) -> bool:
        return False

    def _rest(self, last: Any | None) -> bytes:
        self._to_cut = self._sent
        return self._same_request()


RELAYS: Final[Mapping[str, type[Relay]]] = {
    pb.StreamLogRequest.DESCRIPTOR.full_name: LogRelay,
    pb.StreamProgressRequest.DESCRIPTOR.full_name: ProgressRelay,
    pb.WatchJobRequest.DESCRIPTOR.full_name: JobRelay,
    files_pb2.DownloadRequest.DESCRIPTOR.full_name: FileRelay,
}
"""How each stream about a job goes on, by the name of its request."""
