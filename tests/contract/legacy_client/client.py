"""A small REST client as existing SDKs are, with plain HTTP calls.

It knows nothing of this project: it is written from the REST contract alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

ROOT = "/api/rest_j/v1"
FINAL = ("Succeed", "Failed", "Cancelled", "Timeout")
COOKIE = "linkis_user_session_ticket_id_v1"


class CallFailed(Exception):
    """The service answered with another status than 0."""

    def __init__(self, http: int, envelope: Mapping[str, Any]) -> None:
        super().__init__(envelope["message"])
        self.http = http
        self.status: int = envelope["status"]
        self.data: dict[str, Any] = envelope["data"]


@dataclass(frozen=True)
class Submitted:
    """The ids of a job."""

    exec_id: str
    task_id: int


@dataclass(frozen=True)
class ResultPage:
    """A page of a result set."""

    columns: Sequence[tuple[str, str]]  # name and type
    rows: Sequence[Sequence[str]]
    type: str
    total_rows: int
    total_pages: int


class LegacyClient:
    """One user's session; usable from many threads."""

    def __init__(self, address: str) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self._http = httpx.Client(base_url=address, timeout=60, limits=limits, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def login(self, user: str, password: str) -> dict[str, Any]:
        body = {"userName": user, "password": password}
        return self._call("POST", "/user/login", json=body)

    def logout(self) -> None:
        self._call("POST", "/user/logout")

    def user_info(self) -> dict[str, Any]:
        return self._call("GET", "/user/userInfo")

    def heartbeat(self) -> None:
        self._call("GET", "/user/heartbeat")

    def submit(
        self,
        code: str,
        run_type: str,
        engine: str,
        *,
        user: str,
        creator: str = "IDE",
        variables: Mapping[str, str] | None = None,
    ) -> Submitted:
        """In the labels form."""
        return self._submitted(
            "/entrance/submit",
            {
                "executionContent": {"code": code, "runType": run_type},
                "params": {"variable": dict(variables or {}), "configuration": {}},
                "labels": {"engineType": engine, "userCreator": f"{user}-{creator}"},
                "source": {"scriptPath": "/scripts/job"},
            },
        )

    def execute(self, code: str, run_type: str, engine: str, *, creator: str = "IDE") -> Submitted:
        """In the old form."""
        return self._submitted(
            "/entrance/execute",
            {
                "executionCode": code,
                "runType": run_type,
                "executeApplicationName": engine,
                "requestApplicationName": creator,
                "params": {},
                "source": {},
            },
        )

    def status(self, job: Submitted) -> str:
        data = self._call("GET", f"/entrance/{job.exec_id}/status", taskID=job.task_id)
        assert data["execID"] == job.exec_id
        return str(data["status"])

    def progress(self, job: Submitted) -> float:
        return float(self._call("GET", f"/entrance/{job.exec_id}/progress")["progress"])

    def log(self, job: Submitted, from_line: int, size: int = 100) -> tuple[Sequence[str], int]:
        """The four texts of the next lines, and from where to go on."""
        path = f"/entrance/{job.exec_id}/log"
        data = self._call("GET", path, fromLine=from_line, size=size)
        return data["log"], data["fromLine"]

    def kill(self, job: Submitted) -> None:
        self._call("GET", f"/entrance/{job.exec_id}/kill", taskID=job.task_id)

    def kill_all(self, jobs: Sequence[Submitted]) -> list[int]:
        """The status of each message."""
        ids = {"idList": [job.exec_id for job in jobs], "taskIDList": [job.task_id for job in jobs]}
        data = self._call("POST", f"/entrance/{jobs[0].exec_id}/killJobs", json=ids)
        return [message["status"] for message in data["messages"]]

    def task(self, job: Submitted) -> dict[str, Any]:
        """The job in the history."""
        task: dict[str, Any] = self._call("GET", f"/jobhistory/{job.task_id}/get")["task"]
        return task

    def tasks(self, **filters: Any) -> tuple[list[dict[str, Any]], int]:
        """A page of the history, and how many there are in all."""
        data = self._call("GET", "/jobhistory/list", **filters)
        return data["tasks"], data["totalPage"]

    def undone(self) -> list[int]:
        """The numbers of unfinished jobs."""
        return [
            task["taskID"] for task in self._call("GET", "/jobhistory/listundonetasks")["tasks"]
        ]

    def results(self, location: str) -> list[str]:
        """The paths of the result sets, in order."""
        tree = self._call("GET", "/filesystem/getDirFileTrees", path=location)["dirFileTrees"]
        return [leaf["path"] for leaf in tree["children"] if leaf["isLeaf"]]

    def open_file(self, path: str, page: int = 1, page_size: int = 5000) -> ResultPage:
        data = self._call("GET", "/filesystem/openFile", path=path, page=page, pageSize=page_size)
        return ResultPage(
            [(column["columnName"], column["dataType"]) for column in data["metadata"]],
            data["fileContent"],
            data["type"],
            data["totalLine"],
            data["totalPage"],
        )

    def rows(self, path: str, page_size: int) -> Iterator[Sequence[str]]:
        """Every row, page by page."""
        page, pages = 1, 1
        while page <= pages:
            answer = self.open_file(path, page, page_size)
            yield from answer.rows
            page, pages = page + 1, answer.total_pages

    def open_log(self, path: str) -> Sequence[str]:
        log: Sequence[str] = self._call("GET", "/filesystem/openLog", path=path)["log"]
        return log

    def csv(self, path: str) -> str:
        """A result set as CSV."""
        query = {"path": path, "outputFileType": "csv"}
        answer = self._http.get(f"{ROOT}/filesystem/resultsetToExcel", params=query)
        return answer.raise_for_status().text

    def wait(self, job: Submitted) -> str:
        """The final status, asked for every 100 ms."""
        while (status := self.status(job)) not in FINAL:
            time.sleep(0.1)
        return status

    def _submitted(self, path: str, body: Mapping[str, Any]) -> Submitted:
        data = self._call("POST", path, json=body)
        return Submitted(data["execID"], data["taskID"])

    def _call(self, verb: str, path: str, /, *, json: Any = None, **query: Any) -> dict[str, Any]:
        answer = self._http.request(verb, ROOT + path, json=json, params=query)
        envelope = answer.json()
        if envelope["status"] != 0:
            raise CallFailed(answer.status_code, envelope)
        assert answer.status_code == 200
        data: dict[str, Any] = envelope["data"]
        return data
