"""What lives on in a session, who shares it, and what the jobs in it report."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from entrance.client import JobHandle, JobParams, JobStatus, ResultType, Stage
from tests.support.footprint import gone
from tests.support.jobs import busy_group, ended, new_creator, printed, said, texts
from tests.support.service import SETTINGS, Caller, Service, running_service
from tests.support.waiting import until

PNG = (  # one dot
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJ"
    "RU5ErkJggg=="
)
KEEP = {"python": "kept = 41", "duckdb": "CREATE TABLE kept AS SELECT 41 AS n"}
USE = {"python": "print(kept + 1)", "duckdb": "SELECT n + 1 AS n FROM kept"}


def _run(
    caller: Caller,
    engine: str,
    code: str,
    creator: str,
    status: JobStatus = JobStatus.SUCCEED,
) -> JobHandle:
    job = caller.client.submit(code, engine=engine, creator=creator)
    ended(job, status)
    return job


def _answer(job: JobHandle) -> str | None:
    """What a job found, by print or as its one result."""
    results = job.results()
    return next(job.result(0).rows())[0] if results else printed(job)[-1]


class TestGroup:
    @pytest.mark.parametrize("engine", KEEP)
    def test_the_jobs_of_a_group_share_what_a_session_keeps(
        self, alice: Caller, engine: str
    ) -> None:
        creator = new_creator()
        first = _run(alice, engine, KEEP[engine], creator)
        second = _run(alice, engine, USE[engine], creator)
        assert _answer(second) == "42"
        assert first.get().session_id == second.get().session_id

    @pytest.mark.parametrize("engine", KEEP)
    def test_another_creator_or_user_has_another_session(
        self, alice: Caller, bob: Caller, engine: str
    ) -> None:
        creator = new_creator()
        first = _run(alice, engine, KEEP[engine], creator)
        others = (
            _run(alice, engine, USE[engine], new_creator(), JobStatus.FAILED),
            _run(bob, engine, USE[engine], creator, JobStatus.FAILED),
        )
        for other in others:
            error = other.get().error
            assert error is not None
            assert "kept" in error.message
            assert other.get().session_id != first.get().session_id

    def test_jobs_that_run_at_once_have_a_session_each(self, alice: Caller) -> None:
        creator = new_creator()
        jobs = [
            alice.client.submit("echo started; sleep 1000", engine="shell", creator=creator)
            for _ in range(2)
        ]
        for job in jobs:
            said(job, "started")
        first, second = (job.get().session_id for job in jobs)
        assert first != second
        alice.client.kill_jobs(job.task_id for job in jobs)

    def test_files_live_in_the_session_s_own_directory(
        self, service: Service, alice: Caller
    ) -> None:
        creator = new_creator()
        first = _run(alice, "shell", "pwd; echo hello > note", creator)
        second = _run(alice, "shell", "cat note", creator)
        assert printed(second) == ["hello"]
        assert printed(first) == [str(service.session_directory(first) / "work")]

    def test_user_code_sees_nothing_of_the_server_s_settings(
        self, service: Service, alice: Caller
    ) -> None:
        for engine, code in (
            ("shell", "env"),
            ("python", "import os\nfor name in os.environ: print(name + '=')"),
        ):
            names = {line.partition("=")[0] for line in printed(_run(alice, engine, code, "Env"))}
            assert {name for name in names if name.startswith("ENTRANCE")} <= {"ENTRANCE_SESSION"}
            assert {"PATH", "HOME"} <= names

    def test_a_failed_statement_leaves_the_session_to_the_next_job(self, alice: Caller) -> None:
        creator = new_creator()
        for engine in KEEP:
            _run(alice, engine, KEEP[engine], creator)
            _run(alice, engine, "this is neither", creator, JobStatus.FAILED)
            assert _answer(_run(alice, engine, USE[engine], creator)) == "42"

    def test_startup_settings_act_when_the_session_opens(self, alice: Caller) -> None:
        params = JobParams(startup={"duckdb.threads": "1"})
        job = alice.client.submit(
            "SELECT current_setting('threads') AS n",
            engine="duckdb",
            creator=new_creator(),
            params=params,
        )
        ended(job, JobStatus.SUCCEED)
        assert _answer(job) == "1"

    def test_a_setting_that_the_engine_does_not_have_is_told_in_the_log(
        self, alice: Caller
    ) -> None:
        params = JobParams(startup={"duckdb.colour": "blue"})
        job = alice.client.submit("SELECT 1", engine="duckdb", creator=new_creator(), params=params)
        ended(job, JobStatus.SUCCEED)
        assert any(" WARN " in text and "duckdb.colour" in text for text in texts(job))


class TestLimit:
    @pytest.fixture
    def small(self) -> Iterator[Service]:
        """A service with room for two sessions, and no warm runner beside them."""
        with running_service({"ENTRANCE_MAX_SESSIONS": "2", "ENTRANCE_WARM_RUNNERS": "0"}) as it:
            yield it

    def test_the_oldest_idle_session_makes_room_for_a_new_one(self, small: Service) -> None:
        jobs = [_run(small.alice, "shell", "echo hi", f"Creator{n}") for n in range(3)]
        sessions = small.data_dir / "sessions"
        until(lambda: len(list(sessions.iterdir())) == 2, "two sessions are left")
        assert not small.session_directory(jobs[0]).exists()
        assert small.session_directory(jobs[2]).exists()

    def test_idle_sessions_end_with_the_service(self, small: Service) -> None:
        job = _run(small.alice, "python", "import os\nprint(os.getpid())", "IDE")
        pid, directory = int(printed(job)[0]), small.session_directory(job)
        assert not gone([pid])
        small.stop()
        assert gone([pid])
        assert not directory.exists()


class TestStatements:
    def test_each_is_a_part_of_the_progress(self, alice: Caller) -> None:
        slow = "SELECT sum(a.range * b.range) FROM range(10000) a, range(20000) b"
        job = alice.client.submit(
            f"SELECT 1; {slow}; SELECT 3; {slow}", engine="duckdb", creator=new_creator()
        )
        seen = list(job.follow_progress())
        assert seen[-1].status is JobStatus.SUCCEED
        assert seen[-1].progress == 1.0
        assert all(before.progress <= after.progress for before, after in itertools.pairwise(seen))
        assert len({progress.progress for progress in seen}) > 2
        assert [_counts(stage) for stage in seen[-1].stages] == [(1, 0, 0, 1)] * 4
        assert any(stage.running_tasks for progress in seen for stage in progress.stages)

    def test_the_first_that_fails_is_the_last(self, alice: Caller) -> None:
        job = alice.client.submit(
            "SELECT 1; SELECT nothing; SELECT 3", engine="duckdb", creator=new_creator()
        )
        ended(job, JobStatus.FAILED)
        assert [_counts(stage) for stage in job.progress().stages] == [
            (1, 0, 0, 1),
            (0, 1, 0, 1),
            (0, 0, 0, 1),
        ]
        error = job.get().error
        assert error is not None
        assert "statement 2" in error.message
        assert len(job.results()) == 1

    def test_each_gives_a_result_of_its_own(self, alice: Caller) -> None:
        job = _run(
            alice, "duckdb", "SELECT 1 AS a; CREATE TABLE t(x int); FROM range(3)", new_creator()
        )
        results = job.results()
        assert [(one.index, one.statement, one.row_count) for one in results] == [
            (0, 0, 1),
            (1, 2, 3),
        ]
        assert job.result(1).to_arrow().to_pylist() == [{"range": n} for n in range(3)]


class TestResults:
    def test_a_large_table_is_read_in_pages_and_as_a_stream(self, alice: Caller) -> None:
        count = 250_000
        code = f"SELECT range AS n, 'row ' || range AS text FROM range({count}) LIMIT {count}"
        job = alice.client.submit(code, engine="duckdb", creator=new_creator())
        ended(job, JobStatus.SUCCEED)
        result = job.result()
        rows = result.info.row_count
        table = result.to_arrow()
        assert table.num_rows == rows
        assert table.column("n").to_pylist() == list(range(rows))
        assert list(result.rows()) == [(str(n), f"row {n}") for n in range(rows)]

    def test_of_every_kind_from_python(self, alice: Caller) -> None:
        code = f"""\
import base64
import pyarrow
from IPython.display import HTML, SVG, Image
display(pyarrow.table({{"n": [1, None], "t": ["ä", ""]}}))
display(HTML("<b>bold</b>"))
display(Image(base64.b64decode("{PNG}")))
display(SVG('<svg xmlns="http://www.w3.org/2000/svg"/>'))
"a text"
"""
        job = _run(alice, "python", code, new_creator())
        assert [(one.index, one.type, one.media_type) for one in job.results()] == [
            (0, ResultType.TABLE, "application/vnd.apache.arrow.stream"),
            (1, ResultType.HTML, "text/html"),
            (2, ResultType.PICTURE, "image/png"),
            (3, ResultType.PICTURE, "image/svg+xml"),
            (4, ResultType.TEXT, "text/plain"),
        ]
        assert list(job.result(0).rows()) == [("1", "ä"), (None, "")]
        assert job.result(1).text() == "<b>bold</b>"
        assert job.result(2).bytes().startswith(b"\x89PNG")
        assert b"<svg" in job.result(3).bytes()
        assert job.result(4).text() == "'a text'"

    def test_stay_when_the_job_fails_after_them(self, alice: Caller) -> None:
        code = "display('before')\nraise ValueError('after')"
        job = _run(alice, "python", code, new_creator(), JobStatus.FAILED)
        assert job.result(0).text() == "'before'"
        error = job.get().error
        assert error is not None
        assert "ValueError: after" in error.message


def _counts(stage: Stage) -> tuple[int, int, int, int]:
    return stage.succeed_tasks, stage.failed_tasks, stage.running_tasks, stage.total_tasks


@pytest.fixture(scope="module")
def impatient() -> Iterator[Service]:
    """A service whose runners end when no server calls for two seconds."""
    with running_service({**SETTINGS, "ENTRANCE_ORPHAN_TIMEOUT": "2"}) as service:
        yield service


class TestIdle:
    def test_a_session_lives_on_for_longer_than_a_runner_without_a_server_does(
        self, impatient: Service
    ) -> None:
        creator = new_creator()
        first = _run(impatient.alice, "python", KEEP["python"], creator)
        ended_at = time.monotonic()
        until(lambda: time.monotonic() > ended_at + 3.5, "a runner without a server has ended")
        second = _run(impatient.alice, "python", USE["python"], creator)
        assert (_answer(second), second.get().session_id) == ("42", first.get().session_id)

    def test_a_job_that_is_paused_when_its_turn_comes_holds_no_session(
        self, impatient: Service
    ) -> None:
        """Whoever comes later in its group may have one, and it gets one when it goes on."""
        creator = new_creator()
        with busy_group(impatient.alice, creator):
            paused = impatient.alice.client.submit("echo a", engine="shell", creator=creator)
            paused.pause()
        other = _run(impatient.alice, "shell", "echo b", creator)
        assert not paused.status().is_final
        paused.resume()
        ended(paused, JobStatus.SUCCEED)
        assert printed(other) == ["b"]
