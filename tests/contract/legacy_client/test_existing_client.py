"""A client that was written for other servers goes through everything that it does."""

from __future__ import annotations

import csv
import io
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from tests.contract.legacy_client.client import FINAL, CallFailed, LegacyClient, Submitted
from tests.support.service import HOST, Service
from tests.support.waiting import until

POLLERS = 100
INTERVAL = 0.1  # seconds between two polls of one thread
ORDER = {"Inited": 0, "Scheduled": 1, "Running": 2} | dict.fromkeys(FINAL, 3)
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Work:
    """What an engine is given to do."""

    engine: str
    run_type: str
    code: str  # runs for some seconds, and logs meanwhile
    endless: str
    results: Sequence[Sequence[Sequence[str]]]  # rows of each result set
    says: Sequence[str]  # lines that the log has in this order


ROWS = [[str(n), f"row {n}" if n % 3 else "NULL"] for n in range(25)]
WORKS = {
    "shell": Work(
        "shell",
        "shell",
        "for i in $(seq 20); do echo line $i of ${what}; sleep 0.1; done",
        "sleep 1000",
        [],
        [f"line {i} of mine" for i in range(1, 21)],
    ),
    "python": Work(
        "python",
        "python",
        """\
import time
import pandas as pd
for i in range(1, 21):
    print("line", i, "of ${what}")
    time.sleep(0.1)
pd.DataFrame({"n": range(25), "text": [f"row {n}" if n % 3 else None for n in range(25)]})
""",
        "import time; time.sleep(1000)",
        [ROWS],
        [f"line {i} of mine" for i in range(1, 21)],
    ),
    "duckdb": Work(
        "duckdb",
        "sql",
        """\
--@set what = mine
SELECT count(*) AS "${what}" FROM range(200000000) a WHERE a.range % 8 = 3;
SELECT n, CASE WHEN n % 3 > 0 THEN concat('row ', n) END AS text FROM range(25) r(n) ORDER BY n;
""",
        "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3",
        [[["25000000"]], ROWS],
        [],
    ),
}


@dataclass
class Poller:
    """What one thread saw of a job."""

    client: LegacyClient
    job: Submitted
    next_line: int  # 0 or 1 at first; both mean the first line
    states: list[str] = field(default_factory=list)
    progress: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def run(self) -> Poller:
        """Polls until the job has ended and its log was read."""
        more = True
        while more:
            self.states.append(self.client.status(self.job))
            self.progress.append(self.client.progress(self.job))
            more = self._read_log() or self.states[-1] not in FINAL
            time.sleep(INTERVAL)
        return self

    def _read_log(self) -> bool:
        """Takes the next lines; False when there is none."""
        texts, next_line = self.client.log(self.job, self.next_line, size=7)
        count = next_line - max(self.next_line, 1)
        lines = texts[3].split("\n") if count else []
        assert len(lines) == count
        self.lines += lines
        self.next_line = next_line
        return bool(lines)


@pytest.fixture(scope="module")
def user(service: Service) -> str:
    """Somebody with a password."""
    name = f"lena{secrets.token_hex(3)}"
    body = {"name": name, "password": PASSWORD}
    service.admin.rest.http.post(
        "/api/rest_j/v1/administration/users", json=body
    ).raise_for_status()
    return name


@pytest.fixture
def client(service: Service, user: str) -> Iterator[LegacyClient]:
    client = LegacyClient(f"http://{HOST}:{service.http_port}")
    assert client.login(user, PASSWORD)["userName"] == user
    yield client
    client.close()


@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_it_goes_from_login_to_logout(client: LegacyClient, user: str, work: Work) -> None:
    job = client.submit(
        work.code, work.run_type, work.engine, user=user, variables={"what": "mine"}
    )
    assert job.task_id in client.undone()
    lines = _poll_by_many(client, job)
    assert [line for line in lines if line in work.says] == list(work.says)
    _read_history(client, user, job, work, lines)
    _read_results(client, job, work)
    _kill(client, user, work)
    client.heartbeat()
    assert client.user_info()["userName"] == user
    client.logout()
    with pytest.raises(CallFailed) as refused:
        client.status(job)
    assert (refused.value.http, refused.value.status) == (401, -1)


def _poll_by_many(client: LegacyClient, job: Submitted) -> list[str]:
    """The log's lines, after many threads saw each of them exactly once and no step back."""
    pollers = [Poller(client, job, number % 2) for number in range(POLLERS)]
    with ThreadPoolExecutor(POLLERS) as threads:
        done = list(threads.map(Poller.run, pollers))
    assert client.task(job)["status"] == "Succeed"
    everything = client.open_log(client.task(job)["logPath"])[3].removesuffix("\n").split("\n")
    for poller in done:
        assert poller.lines == everything
        ranks = [ORDER[state] for state in poller.states]
        assert ranks == sorted(ranks)
        assert poller.progress == sorted(poller.progress)
        assert (poller.states[-1], poller.progress[-1]) == ("Succeed", 1.0)
    assert any("Running" in poller.states for poller in done)
    return everything


def _read_history(
    client: LegacyClient, user: str, job: Submitted, work: Work, lines: list[str]
) -> None:
    task = client.task(job)
    assert (task["taskID"], task["execId"]) == (job.task_id, job.exec_id)
    assert (task["umUser"], task["executeUser"]) == (user, user)
    assert (task["executionCode"], task["runType"]) == (work.code, work.run_type)
    assert (task["engineType"], task["requestApplicationName"]) == (work.engine, "IDE")
    assert (task["errCode"], task["errDesc"]) == (None, None)
    assert task["createdTime"] <= task["updatedTime"]
    found, total = client.tasks(taskID=job.task_id, status="Succeed", pageNow=1, pageSize=10)
    assert ([one["taskID"] for one in found], total) == ([job.task_id], 1)
    assert job.task_id not in client.undone()
    by_level = client.open_log(task["logPath"])[:3]
    told = sum(len(text.split("\n")) for text in by_level if text)
    assert told == len([line for line in lines if line.strip()])


def _read_results(client: LegacyClient, job: Submitted, work: Work) -> None:
    paths = client.results(client.task(job)["resultLocation"])
    tables = [path for path in paths if client.open_file(path).type == "2"]
    assert [list(client.rows(path, page_size=10)) for path in tables] == work.results
    for path, rows in zip(tables, work.results, strict=True):
        page = client.open_file(path, page=1, page_size=10)
        assert (page.total_rows, len(page.rows)) == (len(rows), min(10, len(rows)))
        header, *exported = csv.reader(io.StringIO(client.csv(path)))
        assert header == [name for name, _ in page.columns]
        assert exported == rows


def _kill(client: LegacyClient, user: str, work: Work) -> None:
    first = client.execute(work.endless, work.run_type, work.engine)
    others = [client.submit(work.endless, work.run_type, work.engine, user=user) for _ in range(2)]
    until(lambda: client.status(first) == "Running", "the job runs")
    client.kill(first)
    assert client.wait(first) == "Cancelled"
    assert client.kill_all([first, *others]) == [1, 0, 0]
    assert [client.wait(job) for job in others] == ["Cancelled"] * 2
    with pytest.raises(CallFailed) as refused:
        client.kill(first)
    assert (refused.value.http, refused.value.status) == (400, 1)
