"""docs/configuration.md, made from the settings themselves by `make settings`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings

from entrance_gateway.config import GatewaySettings
from entrance_server.config import CONFIG_VARIABLE, ServerSettings

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"

HEAD = f"""\
# Configuration

Server and gateway read their settings once, when they start, and check all of them: what is wrong
is named, and nothing starts. Nothing has to be set: `entrance serve` runs with the defaults below.

This page is made from the settings themselves by `make settings`, and a test fails when it is not
what they say.

## Where settings come from

A setting of the server is taken from the first of these that has it:

1. the command line: `--data-dir`, `--host`, `--port` (of `entrance serve`: `--grpc-port`);
2. the environment: `ENTRANCE_` and its name in capitals, such as `ENTRANCE_GROUP_RUNNING=50`. Lists
   and tables are JSON; one entry of a table has two underscores before its name, such as
   `ENTRANCE_PREPROCESS__SQL_LIMIT=false`. A variable that names no setting is passed over;
3. a TOML file, which `--config FILE` or `{CONFIG_VARIABLE}` names;
4. the default.

A file for a server with two kinds of users:

```toml
group_running = 10
working_directories = ["/srv/shared"]
retry_num = 1

[engine_aliases]
hive = "duckdb"

[engine_defaults.python]
"python.memory_limit" = "4GiB"

[[group_limits]]                # the first rule that fits a group counts
user = "etl_*"
engine_type = "duckdb"
running = 100
waiting = 10000

[[group_limits]]
creator = "Notebook"
running = 2

[preprocess]
sql_limit_rows = 1000
```

The gateway has no file: it reads `ENTRANCE_GATEWAY_` and a name, such as
`ENTRANCE_GATEWAY_PORT=9001`. Lists are JSON there, too.
"""


def page() -> str:
    """The whole page."""
    sections = [
        *_sections("The server", ServerSettings),
        *_sections("The gateway", GatewaySettings),
    ]
    return "\n".join([HEAD, *sections])


def _sections(title: str, settings: type[BaseSettings]) -> Iterator[str]:
    schema = settings.model_json_schema()
    yield _section(f"## {title}", schema)
    for name, field in schema["properties"].items():
        nested = _reference(field)
        if nested:
            yield _section(f"### `{name}`", schema["$defs"][nested])


def _section(head: str, table: Mapping[str, Any]) -> str:
    rows = [
        f"| `{name}` | {_default(field)} | {_meaning(field)} |"
        for name, field in table["properties"].items()
    ]
    header = ["| Setting | Default | Meaning |", "|---|---|---|"]
    return "\n".join([head, "", table["description"], "", *header, *rows, ""])


def _reference(field: Mapping[str, Any]) -> str:
    """The name of the table that a setting is, or that a list consists of."""
    path: str = {**field, **field.get("items", {})}.get("$ref", "")
    return path.rpartition("/")[2]


def _default(field: Mapping[str, Any]) -> str:
    default = field.get("default")
    if _reference(field) or default in (None, "", [], {}):
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _meaning(field: Mapping[str, Any]) -> str:
    text = " ".join(field.get("description", "").split()).rstrip(".").replace("|", "\\|")
    bounds = f" ({', '.join(said)})" if (said := _bounds(field)) else ""
    return f"{text[:1].upper()}{text[1:]}{bounds}."


def _bounds(field: Mapping[str, Any]) -> list[str]:
    """What a value must keep to, but for being more than nothing."""
    options = [one for one in field.get("anyOf", [field]) if one.get("type") != "null"]
    if len(options) != 1:
        return []
    words = {"minimum": "at least", "maximum": "at most"}
    return [f"{words[bound]} {options[0][bound]:g}" for bound in words if options[0].get(bound)]


if __name__ == "__main__":
    PAGE.write_text(page())
