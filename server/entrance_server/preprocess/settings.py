"""The switches of the steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class PreprocessSettings:
    """Which steps act, and their limits."""

    variables: bool = True  # `${name}` and calculations with it
    set_lines: bool = True  # lines `--@set name=value`, `#@set name=value`
    date_patterns: bool = True  # `&{yyyy-MM-dd%-1d}`
    max_length: int = 4 * 2**20  # characters; code that variables make longer is refused
    sql_limit: bool = True
    sql_limit_rows: int = 5000  # for a SELECT without a limit
    sql_limit_cap: int = 5000  # the most that a limit in the code may say
    sql_full_export: bool = (
        True  # `--set ide.engine.no.limit.allow=true` in the code lifts the limit
    )
    allow_create_database: bool = False  # CREATE DATABASE and DROP DATABASE
    comments: Literal["keep", "strip"] = "keep"  # in SQL; other languages take comments as they are
    python_deny: tuple[str, ...] = ()  # names such as `subprocess` or `sys.exit`; empty is off
    shell_deny: tuple[str, ...] = ()  # words such as `rm`; empty is off
