"""Text from elsewhere does nothing to a terminal but show."""

from __future__ import annotations

import pytest

from entrance.cli.terminal import harmless


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, Łódź, 日本語\tand a tab", "plain text, Łódź, 日本語\tand a tab"),
        ("\x1b[2J\x1b[H", "␛[2J␛[H"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("over\rwritten", "over␍written"),
        ("a\nb", "a␊b"),
        ("\x00\x7f\x9b2J", "␀␡<U+009B>2J"),
        ("user\u202egnp.exe", "user<U+202E>gnp.exe"),
        ("\x1b[31mred\x1b[0m", "red"),
    ],
)
def test_control_characters_are_made_visible(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_codes_that_only_set_colours_may_stay() -> None:
    text = "\x1b[1;38:5:9mred\x1b[m \x1b[5A"

    assert harmless(text, colors=True) == "\x1b[1;38:5:9mred\x1b[m ␛[5A"
