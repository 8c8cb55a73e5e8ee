"""What is said about a variable of the environment whose value can't be read."""

from __future__ import annotations

import re

_FIELD = re.compile(r'field "(\w+)"')


def sentence(error: Exception, prefix: str) -> str:
    """Names the variable, and how its value is written.

    Args:
        error: the SettingsError of pydantic-settings.
        prefix: what the names of all variables begin with.
    """
    field = _FIELD.search(str(error))
    if field is None:
        return str(error)
    name = f"{prefix}{field[1]}".upper()
    return f'{name}: must be JSON, such as ["a", "b"] for a list ({error.__cause__})'
