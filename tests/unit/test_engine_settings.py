"""Which settings of an engine a request may have, which act, and on what a session opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrance_server.domain.errors import InvalidRequest
from entrance_server.domain.job import JobParams
from entrance_server.engines.connections import Connections
from entrance_server.engines.failures import SessionRefused
from entrance_server.engines.parameters import EngineParameter, of_every_session
from entrance_server.engines.registry import EngineInfo, EngineRegistry
from entrance_server.engines.setup import Setup, set_up
from entrance_server.service import parameters

NO_CONNECTIONS = Connections({})
SHARED = Path("/shared/data")
THREADS = EngineParameter(
    "duckdb.threads",
    "startup",
    "integer",
    "Threads.",
    lambda _, text: None if text.isdigit() else f"must be a number, not '{text}'",
)
COLOUR = EngineParameter("colour", "runtime", "string", "A colour.", lambda *_: None)
DUCKDB = EngineInfo(
    "duckdb",
    "1.5",
    ("sql",),
    "SQL",
    parameters=(THREADS, COLOUR, *of_every_session([SHARED])),
    defaults={"duckdb.threads": "1"},
)
REGISTRY = EngineRegistry([DUCKDB], aliases={})


def startup(**settings: str) -> JobParams:
    return JobParams(startup={name.replace("__", "."): text for name, text in settings.items()})


def violations(params: JobParams) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        parameters.check(DUCKDB, params, "alice", NO_CONNECTIONS)
    assert caught.value.err_code == 20010
    return {one.field: one.description for one in caught.value.violations}


def warnings(params: JobParams) -> list[str]:
    found = parameters.notes(DUCKDB, params)
    assert all(note.level == "WARN" for note in found)
    return [note.text for note in found]


class TestRequest:
    def test_known_settings_with_good_values_pass_without_a_word(self) -> None:
        params = JobParams(
            startup={"duckdb.threads": "2", "working_directory": "a/b", "env.LANG": "C"},
            runtime={"colour": "blue"},
        )
        parameters.check(DUCKDB, params, "alice", NO_CONNECTIONS)
        assert warnings(params) == []

    def test_every_wrong_value_is_told_by_the_field_as_the_caller_spells_it(self) -> None:
        assert violations(startup(duckdb__threads="two", working_directory="../x")) == {
            "params.configuration.startup.duckdb.threads": "must be a number, not 'two'",
            "params.configuration.startup.working_directory": (
                "must not lead out of the session's directory"
            ),
        }

    def test_unknown_settings_are_warned_about(self) -> None:
        params = JobParams(startup={"a": "1"}, runtime={"b": "2"}, special={"c": "3"})
        parameters.check(DUCKDB, params, "alice", NO_CONNECTIONS)
        assert warnings(params) == [
            "The setting startup.a has no effect: engine duckdb does not have it.",
            "The setting runtime.b has no effect: engine duckdb does not have it.",
        ]

    def test_a_setting_in_the_wrong_place_is_told_the_right_one(self) -> None:
        (warning,) = warnings(JobParams(runtime={"duckdb.threads": "2"}))
        assert warning.endswith("engine duckdb takes it in startup.")

    def test_many_unknown_settings_make_few_lines(self) -> None:
        assert len(warnings(JobParams(runtime={f"s{n}": "" for n in range(400)}))) == 21

    @pytest.mark.parametrize(
        "directory", ["", ".", "a", "a/../b", "/shared/data", "/shared/data/x"]
    )
    def test_a_session_may_work_below_its_own_directory_and_in_allowed_ones(
        self, directory: str
    ) -> None:
        parameters.check(DUCKDB, startup(working_directory=directory), "alice", NO_CONNECTIONS)

    @pytest.mark.parametrize(
        "directory", ["..", "a/../../b", "/etc", "/shared/database", "/shared/data/../x", "/"]
    )
    def test_a_session_may_work_nowhere_else(self, directory: str) -> None:
        assert violations(startup(working_directory=directory))

    @pytest.mark.parametrize("name", ["env.", "env.1A", "env.A-B", "env.A=B", "env.Ä"])
    def test_a_name_that_no_variable_can_have_is_refused(self, name: str) -> None:
        assert list(violations(JobParams(startup={name: "x"}))) == [
            f"params.configuration.startup.{name}"
        ]


class TestEffect:
    def test_known_settings_act_and_defaults_stand_in_for_the_rest(self) -> None:
        assert REGISTRY.effective("duckdb", "startup", {"unknown": "1"}) == {"duckdb.threads": "1"}
        given = {"duckdb.threads": "4", "env.LANG": "C", "colour": "blue"}
        assert REGISTRY.effective("duckdb", "startup", given) == {
            "duckdb.threads": "4",
            "env.LANG": "C",
        }
        assert REGISTRY.effective("duckdb", "runtime", given) == {"colour": "blue"}

    def test_an_engine_that_is_gone_has_no_settings(self) -> None:
        assert REGISTRY.effective("hive", "startup", {"duckdb.threads": "1"}) == {}


class TestSetup:
    def set_up(self, tmp_path: Path, *allowed: Path, **options: str) -> Setup:
        return set_up(
            {name.replace("__", "."): text for name, text in options.items()},
            own_directory=tmp_path / "own",
            environment={"LANG": "C", "PATH": "/bin"},
            fixed_environment={"SESSION": "s"},
            allowed=allowed,
        )

    def test_without_settings_a_session_works_in_its_own_directory(self, tmp_path: Path) -> None:
        assert self.set_up(tmp_path) == Setup(
            tmp_path / "own", {"LANG": "C", "PATH": "/bin", "SESSION": "s"}, {}
        )

    def test_variables_are_added_but_for_those_that_are_the_services_own(
        self, tmp_path: Path
    ) -> None:
        setup = self.set_up(tmp_path, env__LANG="de", env__X="1", env__SESSION="forged")
        assert setup.environment == {"LANG": "de", "PATH": "/bin", "X": "1", "SESSION": "s"}

    def test_the_engine_gets_the_settings_that_are_its_own(self, tmp_path: Path) -> None:
        setup = self.set_up(tmp_path, duckdb__threads="1", env__X="1", working_directory="a")
        assert setup.options == {"duckdb.threads": "1"}

    def test_a_directory_below_its_own_is_made(self, tmp_path: Path) -> None:
        setup = self.set_up(tmp_path, working_directory="a/b")
        assert setup.working_directory == tmp_path / "own" / "a" / "b"
        assert setup.working_directory.is_dir()

    def test_an_allowed_directory_is_taken_as_it_is(self, tmp_path: Path) -> None:
        setup = self.set_up(tmp_path, tmp_path, working_directory=str(tmp_path))
        assert setup.working_directory == tmp_path.resolve()

    def test_a_directory_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SessionRefused, match="is not there"):
            self.set_up(tmp_path, tmp_path, working_directory=str(tmp_path / "missing"))

    def test_a_link_that_leads_out_of_an_allowed_directory_is_refused(self, tmp_path: Path) -> None:
        allowed = tmp_path / "allowed"
        allowed.mkdir()
        (allowed / "out").symlink_to("/")
        with pytest.raises(SessionRefused, match="not in an allowed directory"):
            self.set_up(tmp_path, allowed, working_directory=str(allowed / "out" / "etc"))
