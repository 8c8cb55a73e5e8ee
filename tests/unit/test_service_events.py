"""What the events of a runner, and its end, mean to the server."""

from __future__ import annotations

import signal

import pytest

from entrance_server.service import events


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (None, None),
        (3, "its process ended with exit status 3"),
        (-signal.SIGKILL, "its process was ended by SIGKILL"),
        (-40, "its process was ended by signal 40"),
    ],
)
def test_the_end_of_a_process_is_told_in_words(status: int | None, sentence: str | None) -> None:
    assert events.exit_sentence(status) == sentence
