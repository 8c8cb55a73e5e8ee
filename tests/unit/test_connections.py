"""Which named connections a job may use, and what goes to the engine."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from entrance_server.domain.errors import InvalidRequest
from entrance_server.domain.job import JobParams
from entrance_server.engines.connections import Connection, Connections
from entrance_server.engines.failures import SessionRefused
from entrance_server.engines.parameters import EngineParameter
from entrance_server.engines.registry import EngineInfo
from entrance_server.service import parameters

SECRET = "open sesame"
CONNECTIONS = Connections(
    {
        "sales": Connection(
            engine="adbc", url="postgresql://reader@db/sales", password=SecretStr(SECRET)
        ),
        "salaries": Connection(
            engine="adbc", url="postgresql://db/salaries", users=frozenset({"bob"})
        ),
        "lake": Connection(engine="trino", url="http://me@trino:8080/hive"),
    }
)
ADBC = EngineInfo(
    "adbc",
    "1",
    ("sql",),
    "SQL",
    parameters=(
        EngineParameter("adbc.connection", "startup", "string", "Which.", lambda *_: None),
    ),
)


def refused(user: str, startup: Mapping[str, str]) -> str:
    params = JobParams(startup=startup)
    with pytest.raises(InvalidRequest) as caught:
        parameters.check(ADBC, params, user, CONNECTIONS)
    (violation,) = caught.value.violations
    assert violation.field == "params.configuration.startup.adbc.connection"
    return violation.description


def test_a_job_that_names_no_connection_is_told_those_of_its_user() -> None:
    assert refused("alice", {}) == "is missing; name one of: sales"
    assert refused("bob", {}) == "is missing; name one of: salaries, sales"


@pytest.mark.parametrize("name", ["salaries", "lake", "nothing", ""])
def test_a_connection_of_others_looks_like_one_that_is_not_there(name: str) -> None:
    assert (
        refused("alice", {"adbc.connection": name})
        == "names no connection for alice; name one of: sales"
    )


def test_an_engine_without_connections_says_so() -> None:
    problem = Connections({}).problem("adbc", "alice", "sales")
    assert problem == "is needed, but there is no connection of engine adbc for alice; ask for one"


def test_a_default_of_the_engine_names_one_too() -> None:
    engine = EngineInfo(
        "adbc", "1", ("sql",), "SQL", ADBC.parameters, defaults={"adbc.connection": "sales"}
    )
    parameters.check(engine, JobParams(), "alice", CONNECTIONS)


def test_the_engine_gets_where_and_the_password() -> None:
    assert CONNECTIONS.secrets("adbc", "alice", {"adbc.connection": "sales"}) == {
        "url": "postgresql://reader@db/sales",
        "password": SECRET,
    }
    assert CONNECTIONS.secrets("duckdb", "alice", {"duckdb.threads": "1"}) == {}


def test_a_session_is_refused_whose_connection_was_taken_away() -> None:
    with pytest.raises(SessionRefused, match="names no connection for alice"):
        CONNECTIONS.secrets("adbc", "alice", {"adbc.connection": "salaries"})


def test_a_password_may_be_in_a_file_which_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "password"
    one = Connection(engine="adbc", url="postgresql://db/x", password_file=file)
    for password in ("first", "second"):
        file.write_text(f"{password}\n")
        assert one.secrets()["password"] == password
    file.unlink()
    with pytest.raises(SessionRefused, match="password of the connection x can't be read"):
        Connections({"x": one}).secrets("adbc", "alice", {"adbc.connection": "x"})


def test_a_password_is_in_no_text_of_the_settings() -> None:
    assert SECRET not in repr(CONNECTIONS._connections)
