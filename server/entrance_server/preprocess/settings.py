"""The switches of the steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class PreprocessSettings:
    """Which steps act, and their limits."""

    variables: bool = True
    """Whether `${name}`, and calculations with it, are replaced."""
    set_lines: bool = True
    """Whether lines `--@set name=value` and `#@set name=value` set variables."""
    date_patterns: bool = True
    """Whether `&{yyyy-MM-dd%-1d}` is replaced."""
    max_length: int = 4 * 2**20
    """Characters; code that variables make longer is refused."""
    sql_limit: bool = True
    """Whether the rows of a SELECT are limited."""
    sql_limit_rows: int = 5000
    """Rows of a SELECT without a limit."""
    sql_limit_cap: int = 5000
    """The most rows that a limit in the code may say."""
    sql_full_export: bool = True
    """Whether `--set ide.engine.no.limit.allow=true` in the code lifts the limit."""
    allow_create_database: bool = False
    """Whether CREATE DATABASE and DROP DATABASE are allowed."""
    comments: Literal["keep", "strip"] = "keep"
    """What becomes of comments in SQL; other languages take comments as they are."""
    python_deny: tuple[str, ...] = ()
    """Names that Python code must not use, such as `subprocess` or `sys.exit`."""
    shell_deny: tuple[str, ...] = ()
    """Words that a shell script must not use, such as `rm`."""

    def __post_init__(self) -> None:
        for name in ("max_length", "sql_limit_rows", "sql_limit_cap"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
