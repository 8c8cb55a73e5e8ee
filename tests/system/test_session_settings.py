"""Settings of engines act for real, and decide which jobs share a session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from entrance.client import InvalidArgument, JobHandle, JobParams, JobStatus
from tests.support.footprint import gone
from tests.support.jobs import ended, new_creator, printed, said, texts
from tests.support.service import SETTINGS, Caller, Service, running_service
from tests.support.waiting import until

NOTHING: Mapping[str, str] = {}


def run(
    caller: Caller,
    engine: str,
    code: str,
    *,
    creator: str = "",
    startup: Mapping[str, str] = NOTHING,
    runtime: Mapping[str, str] = NOTHING,
    status: JobStatus = JobStatus.SUCCEED,
    **labels: str,
) -> JobHandle:
    job = caller.client.submit(
        code,
        engine=engine,
        creator=creator or new_creator(),
        params=JobParams(startup=startup, runtime=runtime),
        labels=labels,
    )
    ended(job, status)
    return job


def session_of(job: JobHandle) -> str:
    return job.get().session_id


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def configured(shared: Path) -> Iterator[Service]:
    """A service that allows a directory, has defaults, and gets both from a file."""
    file = shared / "entrance.toml"
    file.write_text(
        f"working_directories = ['{shared}']\n"
        "[engine_aliases]\nhive = 'shell'\n"
        "[engine_defaults.shell]\n'env.COLOUR' = 'green'\n"
        "[preprocess]\nvariables = false\n"
    )
    with running_service({**SETTINGS, "ENTRANCE_CONFIG": str(file)}) as service:
        yield service


class TestEffect:
    def test_sql_beyond_its_memory_fails_and_says_so(self, alice: Caller) -> None:
        job = run(
            alice,
            "duckdb",
            "SET temp_directory = ''; CREATE TABLE t AS SELECT random() FROM range(50_000_000)",
            startup={"duckdb.memory_limit": "40MB", "duckdb.threads": "1"},
            status=JobStatus.FAILED,
        )
        error = job.get().error
        assert error is not None
        assert error.code == 40300
        assert "Out of Memory" in error.message

    def test_python_beyond_its_memory_fails_and_names_the_limit(self, alice: Caller) -> None:
        job = run(
            alice,
            "python",
            "data = bytearray(600 * 2**20)",
            startup={"python.memory_limit": "500MiB"},
            status=JobStatus.FAILED,
        )
        error = job.get().error
        assert error is not None
        assert error.message.startswith("MemoryError")
        assert "may have 500 MiB of memory" in error.message

    def test_a_session_works_below_its_own_directory(self, service: Service, alice: Caller) -> None:
        job = run(alice, "shell", "pwd", startup={"working_directory": "deep/er"})
        assert printed(job) == [str(service.session_directory(job) / "work" / "deep" / "er")]

    @pytest.mark.parametrize(
        ("engine", "code"),
        [("shell", "echo $COLOUR"), ("python", "import os; print(os.environ['COLOUR'])")],
    )
    def test_code_sees_the_variables_of_its_session(
        self, alice: Caller, engine: str, code: str
    ) -> None:
        job = run(alice, engine, code, startup={"env.COLOUR": "blue"})
        assert printed(job) == ["blue"]

    def test_a_script_sees_the_variables_of_its_run_alone(self, alice: Caller) -> None:
        creator = new_creator()
        first = run(alice, "shell", "echo $COLOUR", creator=creator, runtime={"env.COLOUR": "red"})
        second = run(alice, "shell", "echo .$COLOUR", creator=creator)
        assert (printed(first), printed(second)) == (["red"], ["."])
        assert session_of(first) == session_of(second)


class TestSharing:
    def test_jobs_with_the_same_settings_share_a_session(self, alice: Caller) -> None:
        creator, startup = new_creator(), {"duckdb.threads": "1"}
        first = run(alice, "duckdb", "CREATE TABLE t(a INT)", creator=creator, startup=startup)
        second = run(alice, "duckdb", "FROM t", creator=creator, startup=startup)
        assert session_of(first) == session_of(second)

    def test_jobs_with_other_settings_do_not(self, alice: Caller) -> None:
        creator = new_creator()
        jobs = [
            run(alice, "shell", "exit 0", creator=creator, startup=startup)
            for startup in (NOTHING, {"shell.cores": "1"}, {"env.A": "1"}, {"env.A": "2"})
        ]
        assert len({session_of(job) for job in jobs}) == 4

    def test_settings_without_effect_make_no_difference(self, alice: Caller) -> None:
        creator = new_creator()
        first = run(alice, "shell", "exit 0", creator=creator, startup={"spark.cores": "1"})
        second = run(alice, "shell", "exit 0", creator=creator, startup={"spark.cores": "2"})
        assert session_of(first) == session_of(second)

    def test_a_session_is_known_by_its_settings_after_a_restart(self, own_service: Service) -> None:
        alice, startup = own_service.alice, {"env.A": "1"}
        first = run(alice, "shell", "exit 0", creator="IDE", startup=startup)
        own_service.restart_server()
        plain = run(alice, "shell", "exit 0", creator="IDE")
        same = run(alice, "shell", "exit 0", creator="IDE", startup=startup)
        assert session_of(same) == session_of(first) != session_of(plain)

    def test_a_job_that_wants_it_has_a_session_of_its_own_which_ends_with_it(
        self, service: Service, alice: Caller
    ) -> None:
        creator = new_creator()
        before = run(alice, "shell", "exit 0", creator=creator)
        once = run(alice, "shell", "exit 0", creator=creator, executeOnce="")
        after = run(alice, "shell", "exit 0", creator=creator)
        assert session_of(before) == session_of(after) != session_of(once)
        until(
            lambda: not service.footprint.runners(session_of(once)), "the session of its own ends"
        )
        assert not service.session_directory(once).exists()

    def test_a_session_for_one_job_is_not_used_by_others_after_a_restart(
        self, own_service: Service
    ) -> None:
        alice = own_service.alice
        once = alice.client.submit(
            "echo started; sleep 1", engine="shell", labels={"executeOnce": "true"}
        )
        said(once, "started")
        pids = [process.pid for process in own_service.job_processes(once)]
        own_service.server.kill()
        until(lambda: gone(pids), "the job ends without a server")
        own_service.start_server()
        ended(once, JobStatus.SUCCEED)
        until(
            lambda: not own_service.footprint.runners(session_of(once)),
            "the session of its own ends",
        )


class TestRequest:
    def test_a_wrong_value_is_refused_alike_by_grpc_and_rest(self, alice: Caller) -> None:
        field = "params.configuration.startup.duckdb.threads"
        with pytest.raises(InvalidArgument) as refused:
            alice.client.submit(
                "SELECT 1", engine="duckdb", params=JobParams(startup={"duckdb.threads": "many"})
            )
        assert [violation.field for violation in refused.value.violations] == [field]
        answer = alice.rest.post(
            "submit",
            {
                "executionContent": {"code": "SELECT 1", "runType": "sql"},
                "labels": {"engineType": "duckdb"},
                "params": {"configuration": {"startup": {"duckdb.threads": "many"}}},
            },
        )
        assert (answer.http, answer.status, answer.data["errCode"]) == (400, 1, 20010)
        assert answer.data["violations"][0]["field"] == field
        assert "must be a whole number of at least 1" in answer.message

    def test_an_unknown_setting_is_kept_and_warned_about(self, alice: Caller) -> None:
        job = run(alice, "shell", "exit 0", runtime={"spark.sql.shuffle": "1"})
        params = job.get().params
        assert params is not None
        assert params.runtime == {"spark.sql.shuffle": "1"}
        (warning,) = (text for text in texts(job) if "spark.sql.shuffle" in text)
        assert "WARN The setting runtime.spark.sql.shuffle has no effect" in warning

    def test_a_preview_tells_of_it_too(self, alice: Caller) -> None:
        answer = alice.rest.post(
            "preview",
            {
                "executionContent": {"code": "exit 0", "runType": "shell"},
                "labels": {"engineType": "shell"},
                "params": {"configuration": {"runtime": {"shell.core": "1"}}},
            },
        )
        (note,) = answer.data["notes"]
        assert note["level"] == "warn"
        assert note["text"].startswith("The setting runtime.shell.core has no effect")

    def test_a_working_directory_elsewhere_is_refused(self, alice: Caller) -> None:
        for directory in ("/etc", "../..", "/tmp"):
            with pytest.raises(InvalidArgument, match="working_directory must"):
                run(alice, "shell", "exit 0", startup={"working_directory": directory})

    def test_engines_tell_their_settings(self, alice: Caller) -> None:
        found = {
            engine.engine_type: {(one.name, one.scope) for one in engine.parameters}
            for engine in alice.client.engines()
        }
        everywhere = {("working_directory", "startup"), ("env.*", "startup")}
        assert everywhere <= found["duckdb"] & found["python"] & found["shell"]
        assert ("duckdb.memory_limit", "startup") in found["duckdb"]
        assert ("python.cores", "startup") in found["python"]
        assert ("env.*", "runtime") in found["shell"]


class TestInstallation:
    def test_a_job_may_work_in_a_directory_that_is_allowed(
        self, configured: Service, shared: Path
    ) -> None:
        startup = {"working_directory": str(shared)}
        job = run(configured.alice, "shell", "pwd; ls", startup=startup)
        assert printed(job) == [str(shared), "entrance.toml"]

    def test_an_allowed_directory_that_is_not_there_fails_the_job_with_a_reason(
        self, configured: Service, shared: Path
    ) -> None:
        startup = {"working_directory": str(shared / "gone")}
        job = run(configured.alice, "shell", "pwd", startup=startup, status=JobStatus.FAILED)
        error = job.get().error
        assert error is not None
        assert f"the working directory {shared}/gone is not there" in error.message

    def test_defaults_act_unless_the_job_says_otherwise(self, configured: Service) -> None:
        plain = run(configured.alice, "shell", "echo $COLOUR")
        other = run(configured.alice, "shell", "echo $COLOUR", startup={"env.COLOUR": "red"})
        assert (printed(plain), printed(other)) == (["green"], ["red"])

    def test_an_alias_names_an_engine(self, configured: Service) -> None:
        answer = configured.alice.rest.submit("echo hi", "hive-3.1", "shell")
        ended(job := configured.alice.client.job(answer.data["taskID"]), JobStatus.SUCCEED)
        assert job.get().engine_type == "shell"

    def test_steps_of_the_preparation_can_be_switched_off(self, configured: Service) -> None:
        job = configured.alice.client.submit(
            "echo '${name}'", engine="shell", variables={"name": "x"}
        )
        ended(job, JobStatus.SUCCEED)
        assert printed(job) == ["${name}"]
