"""Logs and results of ended jobs in object storage: read as before, whatever goes away when."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from pydantic import SecretStr

from entrance.client import JobHandle, JobStatus, Unavailable
from entrance.v1 import entrance_pb2 as pb
from entrance_server import job_files
from entrance_server.archive import BucketRefused
from entrance_server.archive.bucket import Bucket
from tests.support.jobs import ended, log_lines, new_creator, said
from tests.support.object_storage import READER, SECRET, ObjectStorage, object_storage
from tests.support.paths import ask, sent
from tests.support.service import SETTINGS, Caller, Service, running_service
from tests.support.waiting import PATIENCE, until

MIB = 1024**2
BUCKET = "jobs"
PREFIX = "logs/of ours"
LARGE = "for i in $(seq 20000); do printf '%01000d\\n' $i; done"  # about 20 MB of lines
TABLES = (
    "SELECT i, 'row ' || i AS name FROM range(3000) t(i); SELECT 1 WHERE false; SELECT 'ü' AS a"
)
AT_ONCE = {"archive_after": 0, "archive_local_age": 0}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStorage]:
    with object_storage(tmp_path_factory.mktemp("storage") / "s3") as storage:
        storage.make_bucket(BUCKET)
        yield storage


class Archiving:
    """A service whose settings of the archive change from one start to the next."""

    def __init__(self, service: Service, file: Path, storage: ObjectStorage) -> None:
        self.service = service
        self.storage = storage
        self._file = file
        self._settings: Mapping[str, Any] = {}

    def restart(self, **settings: Any) -> None:
        """Kills the server, and starts one with some settings; without any there is no archive."""
        given = {"retention_interval": 0.05, **settings}
        if settings:
            names = self.storage.settings(f"{BUCKET}/{PREFIX}")
            given |= {name.removeprefix("ENTRANCE_").lower(): one for name, one in names.items()}
        lines = (f"{name} = {json.dumps(value)}" for name, value in given.items())
        self._file.write_text("\n".join(lines))
        self._settings = settings
        self.service.restart_server()

    def with_settings(self, **settings: Any) -> None:
        """Restarts the server unless it has just these settings."""
        if settings != self._settings:
            self.restart(**settings)

    def run(self, code: str, engine: str = "shell") -> JobHandle:
        job = self.service.alice.client.submit(code, engine=engine, creator=new_creator())
        ended(job, JobStatus.SUCCEED)
        return job

    def is_here(self, job: JobHandle) -> bool:
        return bool(job_files.names(self.service.data_dir / "jobs", job.task_id))

    def gone_from_here(self, *jobs: JobHandle) -> None:
        """Waits until jobs have nothing here, in whatever way that comes."""
        until(lambda: not any(map(self.is_here, jobs)), f"{jobs} are archived")

    def objects(self, job: JobHandle) -> Mapping[str, int]:
        """The objects of a job, by their names below its key."""
        where = f"{PREFIX}/{job.task_id // 1000}"
        found = self.storage.objects(BUCKET, where)
        mine = [name for name in found if name.startswith(f"{where}/{job.task_id}-")]
        return {name.split("/", 4)[-1]: found[name] for name in mine}


@pytest.fixture(scope="module")
def archiving(
    storage: ObjectStorage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Archiving]:
    """A service on a configuration of its own, at first without an archive."""
    file = tmp_path_factory.mktemp("settings") / "entrance.toml"
    file.write_text("")
    with running_service({**SETTINGS, "ENTRANCE_CONFIG": str(file)}) as service:
        yield Archiving(service, file, storage)


def everything(caller: Caller, job: JobHandle) -> dict[str, Any]:
    """All that can be read of what a job left behind, by every operation and both protocols."""
    results = f"entrance:///{job.task_id}/results"
    log = f"entrance:///{job.task_id}/log"
    told: dict[str, Any] = {
        "lines": log_lines(job),
        "from a line on": list(job.follow_log(from_line=3)),
        "log by REST": caller.rest.get(f"{job.exec_id}/log", fromLine=2, size=7).data,
        "log by path": ask(caller, "OpenLog", path=log),
        "log as a file": sent(caller, "Download", path=log).content,
        "tree": ask(caller, "GetDirFileTrees", path=results),
    }
    for info in job.results():
        path = f"{results}/_{info.index}.dolphin"
        told[f"result {info.index}"] = {
            "rows": list(job.result(info.index).rows()),
            "page by REST": caller.rest.get(f"{job.exec_id}/results/{info.index}").data,
            "page by path": ask(caller, "OpenFile", path=path, page=2, pageSize=5),
            "csv": sent(caller, "ResultsetToExcel", path=path, outputFileType="csv").content,
            "parquet": sent(caller, "Download", path=path).content,
        }
    return told


def test_what_is_archived_reads_as_before_by_every_operation(archiving: Archiving) -> None:
    alice = archiving.service.alice
    jobs = [archiving.run(TABLES, "duckdb"), archiving.run("echo a; echo; seq 30; echo 'ü'")]
    before = [everything(alice, job) for job in jobs]
    archiving.restart(**AT_ONCE)
    archiving.gone_from_here(*jobs)
    assert set(archiving.objects(jobs[0])) == {
        *("log", "log.idx", "results/1-0.parquet", "results/1-1.parquet", "results/1-2.parquet"),
    }
    assert [everything(alice, job) for job in jobs] == before
    archiving.restart(**AT_ONCE)
    assert [everything(alice, job) for job in jobs] == before


def test_a_log_is_archived_only_when_its_job_has_ended(archiving: Archiving) -> None:
    archiving.with_settings(**AT_ONCE)
    client = archiving.service.alice.client
    go = archiving.service.directory / "go"
    running = client.submit(
        f"echo started; until [ -e {go} ]; do sleep 0.02; done; echo done", engine="shell"
    )
    said(running, "started")
    archiving.gone_from_here(archiving.run("echo another"))
    assert archiving.is_here(running)
    assert not archiving.objects(running)
    go.touch()
    ended(running, JobStatus.SUCCEED)
    archiving.gone_from_here(running)
    assert [line.text for line in log_lines(running)].count("done") == 1


def test_storage_that_is_away_is_told_by_both_protocols_and_stops_no_job(
    archiving: Archiving,
) -> None:
    archiving.with_settings(**AT_ONCE)
    alice, storage = archiving.service.alice, archiving.storage
    job = archiving.run(TABLES, "duckdb")
    archiving.gone_from_here(job)
    storage.door.shut()
    try:
        refusals = [
            alice.rpc.refusal("Log", pb.LogRequest(id=job.exec_id)),
            alice.rpc.refusal("ReadResult", pb.ReadResultRequest(id=job.exec_id)),
        ]
        for refusal in refusals:
            assert refusal.code is grpc.StatusCode.UNAVAILABLE
            assert refusal.reason == "ARCHIVE_UNAVAILABLE"
            assert "in object storage, which can't be reached now" in refusal.message
        for path in ("log", "results/0"):
            answer = alice.rest.get(f"{job.exec_id}/{path}")
            assert answer.http == 503
            assert answer.message == refusals[0].message
        download = alice.rest.http.get(
            "/api/rest_j/v1/filesystem/openLog", params={"path": f"entrance:///{job.task_id}/log"}
        )
        assert download.status_code == 503
        meanwhile = archiving.run("echo meanwhile")
        assert archiving.is_here(meanwhile)
        assert "meanwhile" in [line.text for line in log_lines(meanwhile)]
    finally:
        storage.door.open()
    assert len(list(job.result(0).rows())) == 3000


def test_a_server_starts_while_storage_is_away(archiving: Archiving) -> None:
    archiving.with_settings(**AT_ONCE)
    job = archiving.run("echo kept")
    archiving.gone_from_here(job)
    archiving.storage.door.shut()
    try:
        archiving.restart(**AT_ONCE)
        archiving.run("echo more")
        with pytest.raises(Unavailable):
            job.log()
    finally:
        archiving.storage.door.open()
    assert "kept" in [line.text for line in log_lines(job)]


def test_a_server_killed_in_the_middle_of_an_upload_loses_nothing_and_leaves_nothing_half(
    archiving: Archiving,
) -> None:
    archiving.with_settings()
    door = archiving.storage.door
    job = archiving.run(LARGE)
    lines = log_lines(job)
    door.shut()
    door.open(room=5 * MIB)
    archiving.restart(**AT_ONCE)
    until(lambda: door.holds, "the upload is under way")
    assert "log" not in archiving.objects(job)
    archiving.service.server.kill()
    door.shut()
    door.open()
    archiving.service.start_server()
    archiving.gone_from_here(job)
    size = sum(len(line.text.encode()) + 1 for line in lines)
    objects = archiving.objects(job)
    assert set(objects) == {"log", "log.idx"}
    assert objects["log"] == size
    assert log_lines(job) == lines


def test_a_cache_smaller_than_a_log_still_gives_the_whole_log(archiving: Archiving) -> None:
    archiving.with_settings()
    jobs = [archiving.run(LARGE), archiving.run("seq 1000")]
    before = [log_lines(job) for job in jobs]
    archiving.restart(**AT_ONCE, archive_cache_bytes=MIB)
    archiving.gone_from_here(*jobs)
    assert [log_lines(job) for job in jobs] == before
    cached = archiving.service.data_dir / "cache"
    kept = sum(file.stat().st_size for file in cached.rglob("*") if file.is_file())
    assert 0 < kept <= MIB


def test_local_copies_stay_until_the_disk_is_short(archiving: Archiving) -> None:
    archiving.with_settings()
    job = archiving.run("echo kept")
    archiving.restart(archive_after=0)
    until(lambda: archiving.objects(job), "it is archived")
    assert archiving.is_here(job)
    archiving.restart(archive_after=0, min_free_bytes=2**60)
    archiving.gone_from_here(job)


def test_retention_removes_the_objects_too(archiving: Archiving) -> None:
    archiving.restart(**AT_ONCE)
    job = archiving.run("echo old")
    archiving.gone_from_here(job)
    assert archiving.objects(job)
    archiving.restart(**AT_ONCE, retention_age=0.1)
    until(lambda: not archiving.objects(job), "the objects are removed")
    answer = archiving.service.alice.rest.get(f"{job.exec_id}/log")
    assert "was removed at" in answer.message


def test_what_is_archived_is_not_taken_for_empty_without_the_setting(archiving: Archiving) -> None:
    archiving.restart(**AT_ONCE)
    job = archiving.run("echo there")
    archiving.gone_from_here(job)
    archiving.restart()
    with pytest.raises(Unavailable, match="in object storage"):
        job.log()
    archiving.restart(**AT_ONCE)
    assert "there" in [line.text for line in log_lines(job)]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"bucket": "missing"}, "There is no bucket missing at http://"),
        ({"secret_access_key": SecretStr("wrong-secret")}, "(SignatureDoesNotMatch)"),
        ({"access_key_id": "who"}, "refuses the credentials (InvalidAccessKeyId)"),
        ({"access_key_id": READER}, "refuses the credentials (AccessDenied)"),
    ],
)
async def test_a_place_that_can_not_be_right_is_refused_with_what_to_change(
    storage: ObjectStorage, wrong: Mapping[str, Any], told: str
) -> None:
    await Bucket(storage.place(BUCKET)).check()
    with pytest.raises(BucketRefused) as refused:
        await Bucket(dataclasses.replace(storage.place(BUCKET), **wrong)).check()
    assert told in str(refused.value)
    assert SECRET not in str(refused.value)
    assert "wrong-secret" not in str(refused.value)


def test_a_server_does_not_start_without_its_bucket(storage: ObjectStorage, tmp_path: Path) -> None:
    environment = {**os.environ, **storage.settings("missing")}
    command = [sys.executable, "-m", "entrance_server", "--data-dir", str(tmp_path), "--port", "0"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 1
    assert "There is no bucket missing at http://" in done.stderr
    assert SECRET not in done.stdout + done.stderr
