"""Logs of jobs whose server is gone for long, in object storage all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest

from tests.support.cluster import Cluster, running_cluster
from tests.support.object_storage import ObjectStorage, object_storage
from tests.support.postgres import Postgres, new_database
from tests.support.waiting import until

BUCKET = "jobs"


@pytest.fixture
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStorage]:
    with object_storage(tmp_path_factory.mktemp("storage") / "s3") as storage:
        storage.make_bucket(BUCKET)
        yield storage


@pytest.fixture
def cluster(postgres: Postgres, storage: ObjectStorage) -> Iterator[Cluster]:
    settings = {
        **storage.settings(BUCKET),
        "ENTRANCE_ARCHIVE_AFTER": "0",
        "ENTRANCE_ARCHIVE_LOCAL_AGE": "0",
        "ENTRANCE_RETENTION_INTERVAL": "0.05",
    }
    with (
        new_database(postgres) as url,
        running_cluster(url, servers=2, gateways=0, settings=settings) as cluster,
    ):
        yield cluster


def test_a_job_of_a_server_that_does_not_come_back_is_archived_by_another_one(
    cluster: Cluster, storage: ObjectStorage
) -> None:
    gone, heir = cluster.servers
    storage.door.shut()
    job = cluster.client(gone).submit("echo kept", engine="shell")
    job.wait(60)
    gone.kill()
    storage.door.open()
    _date_back(cluster, json.loads(gone.daemon.ready_file.read_text())["instance"])
    until(lambda: storage.objects(BUCKET), "its files are archived")
    lines = [line.text for line in cluster.client(heir).job(job.task_id).follow_log()]
    assert "kept" in lines
    gone.start()  # so that its warm runners end with it


def _date_back(cluster: Cluster, instance: str) -> None:
    """Lets a server be gone for as long as it takes another one to look after what it left."""
    with psycopg.connect(cluster.store_url) as connection:
        connection.execute("UPDATE instances SET lease_expire_time = 0 WHERE name = %s", [instance])
