"""What of an answer goes out together."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from entrance_gateway.transports import WholeAnswers

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Sent:
    """A transport that keeps what it is given at a time."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def writelines(self, data: tuple[bytes, ...]) -> None:
        self.pieces.append(b"".join(data))

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.is_closed

    def write_eof(self) -> None:
        self.pieces.append(b"")

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
async def answers(sent: Sent) -> WholeAnswers:
    below: Any = sent
    return WholeAnswers(cast(asyncio.Transport, below), asyncio.get_running_loop())


async def test_the_head_goes_with_the_body(answers: WholeAnswers, sent: Sent) -> None:
    answers.write(HEAD)
    answers.write(b"ok")
    await asyncio.sleep(0)
    assert sent.pieces == [HEAD + b"ok"]


async def test_each_answer_goes_by_itself(answers: WholeAnswers, sent: Sent) -> None:
    for _ in range(2):
        answers.write(HEAD)
        answers.write(b"ok")
    assert sent.pieces == [HEAD + b"ok"] * 2


async def test_a_head_does_not_wait_for_a_body_that_is_not_there(
    answers: WholeAnswers, sent: Sent
) -> None:
    answers.write(HEAD)
    assert answers.get_write_buffer_size() == len(HEAD)
    await asyncio.sleep(0)
    answers.write(b"later")
    assert sent.pieces == [HEAD, b"later"]


async def test_a_head_is_sent_before_the_end(answers: WholeAnswers, sent: Sent) -> None:
    answers.write(HEAD)
    answers.write_eof()
    assert sent.pieces == [HEAD, b""]


async def test_a_head_is_sent_before_the_connection_is_closed(
    answers: WholeAnswers, sent: Sent
) -> None:
    answers.write(HEAD)
    answers.close()
    await asyncio.sleep(0)
    assert sent.pieces == [HEAD]


async def test_nothing_is_sent_on_a_connection_that_is_gone(
    answers: WholeAnswers, sent: Sent
) -> None:
    answers.write(HEAD)
    sent.is_closed = True
    await asyncio.sleep(0)
    assert sent.pieces == []
