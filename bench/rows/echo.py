"""One small job from submit to its first line and its end, beside the process, Ray and Jupyter."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from bench import jupyter, processes, ray_jobs
from bench.figures import Figure, Series, Target
from bench.rounds import alternate, milliseconds
from entrance.client import Client

WARM = 5  # runs before the first that counts
RUNS = 40
RAY_RUNS = 1  # it takes seconds
WORD = "hello"
COMMAND = f"echo {WORD}"
CELL = f"print('{WORD}')"


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds until the word was there, and until the end was known."""

    line: float
    end: float


def beside_process(rounds: int) -> Sequence[Figure]:
    """Beside the same command, run by Python."""
    with processes.service() as service, Client(service.target, token=service.token) as client:
        ours, reference = _rounds(rounds, client, partial(_mean, _run, RUNS))
    return _figures(ours, "`subprocess.run` of the same", reference, Target(at_most_more=15))


def beside_ray(rounds: int) -> Sequence[Figure]:
    """Beside Ray's Jobs API on a cluster of one node, which is this machine."""
    with (
        processes.service() as service,
        Client(service.target, token=service.token) as client,
        ray_jobs.cluster() as follow,
    ):
        submit = partial(_timed, lambda: follow(COMMAND))
        submit()  # the first one has more to start
        ours, reference = _rounds(rounds, client, partial(_mean, submit, RAY_RUNS))
    return _figures(ours, "Ray's Jobs API", reference, Target(at_most=1 / 100))


def cell_beside_jupyter(rounds: int) -> Sequence[Figure]:
    """A Python cell beside Jupyter Kernel Gateway."""
    with (
        processes.service() as service,
        Client(service.target, token=service.token) as client,
        jupyter.kernel() as execute,
    ):

        def ours() -> None:
            client.submit(CELL, engine="python", run_type="python").wait(check=True)

        def reference() -> None:
            execute(CELL)

        milliseconds(ours, WARM)
        milliseconds(reference, WARM)
        measured = alternate(
            rounds, lambda: milliseconds(ours, RUNS), lambda: milliseconds(reference, RUNS)
        )
    return [
        Figure(
            what="A Python cell, warm: submit to its end",
            unit="ms",
            ours=Series(measured[0]),
            reference_name="Jupyter Kernel Gateway",
            reference=Series(measured[1]),
            target=Target(at_most=1),
        )
    ]


def _rounds(
    rounds: int, client: Client, reference: Callable[[], Times]
) -> Sequence[Sequence[Times]]:
    submit = partial(_timed, lambda: _follow(client))
    _mean(submit, WARM)
    return alternate(rounds, partial(_mean, submit, RUNS), reference)


def _follow(client: Client) -> Iterable[str]:
    job = client.submit(COMMAND, engine="shell", run_type="shell")
    return (line.text for line in job.follow_log())


def _timed(submit: Callable[[], Iterable[str]]) -> Times:
    """Submits, and follows what is printed until the end."""
    begun, line = time.perf_counter(), None
    for text in submit():
        if line is None and WORD in text.split():
            line = time.perf_counter()
    if line is None:
        raise RuntimeError(f"{COMMAND!r} printed nothing")
    return Times((line - begun) * 1000, (time.perf_counter() - begun) * 1000)


def _run() -> Times:
    """The process; what it printed is there when it has ended."""
    took = milliseconds(lambda: subprocess.run(["bash", "-c", COMMAND], check=True, stdout=-1))
    return Times(took, took)


def _mean(measure: Callable[[], Times], times: int) -> Times:
    measured = [measure() for _ in range(times)]
    return Times(
        statistics.mean(one.line for one in measured), statistics.mean(one.end for one in measured)
    )


def _figures(
    ours: Sequence[Times], name: str, reference: Sequence[Times], target: Target
) -> Sequence[Figure]:
    def figure(until: str, part: Callable[[Times], float]) -> Figure:
        return Figure(
            what=f"`echo`, warm: submit to {until}",
            unit="ms",
            ours=Series([part(one) for one in ours]),
            reference_name=name,
            reference=Series([part(one) for one in reference]),
            target=target,
        )

    return [
        figure("the first log line", lambda times: times.line),
        figure("the end", lambda times: times.end),
    ]
