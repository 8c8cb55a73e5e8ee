"""Makes text from elsewhere harmless on a terminal."""

from __future__ import annotations

import re

_COLORS = r"\x1b\[[0-9;:]*m"
# C0 but for the tab, DEL, C1, and the characters that turn the direction of what follows
_CONTROLS = r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
_UNSAFE = re.compile(f"{_COLORS}|{_CONTROLS}")


def harmless(text: str, *, colors: bool = False) -> str:
    """Text with its control characters made visible; a newline is one too.

    Args:
        text: What to show.
        colors: Whether codes that only set colours stay; else they are left out.
    """

    def replace(match: re.Match[str]) -> str:
        found = match[0]
        if len(found) > 1:
            return found if colors else ""
        return _visible(ord(found))

    return _UNSAFE.sub(replace, text)


def _visible(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)  # the pictures of control characters
    return "\u2421" if code == 0x7F else f"<U+{code:04X}>"
