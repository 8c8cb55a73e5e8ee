"""What a call costs each program that serves it: `python -m bench.costs` prints the shares.

Processor time, not rates: it tells more of a machine that does other things too, and tells what the
most is that a row of `make bench` can reach.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping
from functools import partial

import psutil

from bench import load, processes
from bench.load import WARM_UP, Rate
from bench.rounds import alternate
from bench.rows.status import CONSTANT, running_job
from bench.rows.submits import HELD

SECONDS = 3.0
BARE = "gRPC, constant handler"


class Program:
    """What listens at a port."""

    def __init__(self, port: int) -> None:
        listening = psutil.net_connections("tcp")
        self._process = next(
            psutil.Process(one.pid)
            for one in listening
            if one.pid and one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port
        )

    def microseconds(self, run: Callable[[], Rate]) -> float:
        """The processor time that it uses for each call of a load, without its children's."""
        before = self._seconds()
        rate = run()
        calls = rate.per_second * (SECONDS + WARM_UP)
        return (self._seconds() - before) / calls * 1e6

    def _seconds(self) -> float:
        return sum(self._process.cpu_times()[:2])


def measured(rounds: int) -> Mapping[str, list[float]]:
    """Microseconds of each program for each call, one figure for each round."""
    with (
        processes.service(HELD) as service,
        running_job(service) as id,
        processes.reference(CONSTANT) as constant,
        processes.reference(
            "bench.references.two_hop", "--target", f"{processes.HOST}:{constant}"
        ) as plain,
    ):
        ask = partial(load.run, seconds=SECONDS, ids=[id])
        ours = partial(ask, token=service.token)
        loads: dict[str, tuple[int, Callable[[], Rate]]] = {
            BARE: (constant, partial(ask, "grpc-status", [constant])),
            "gRPC, our Status": (
                service.grpc_port,
                partial(ours, "grpc-status", [service.grpc_port]),
            ),
            "REST, Starlette and one unary call: front": (
                plain,
                partial(ask, "rest-status", [plain]),
            ),
            "REST, ours: gateway": (
                service.http_port,
                partial(ours, "rest-status", [service.http_port]),
            ),
            "REST, ours: server": (
                service.grpc_port,
                partial(ours, "rest-status", [service.http_port]),
            ),
        }
        submit = partial(
            Program(service.grpc_port).microseconds, partial(ours, "submit", [service.grpc_port])
        )
        runs = [partial(Program(port).microseconds, run) for port, run in loads.values()]
        costs = dict(zip(loads, alternate(rounds, *runs), strict=True))
        # last, since the jobs that wait then are not what the others are asked about
        return {**costs, "gRPC, our Submit": [submit() for _ in range(rounds)]}


def main() -> None:
    """Measures, and prints each as a share of the constant handler's call."""
    parser = argparse.ArgumentParser(prog="python -m bench.costs")
    parser.add_argument("--rounds", type=int, default=5)
    costs = measured(parser.parse_args().rounds)
    medians = {what: statistics.median(values) for what, values in costs.items()}
    for what, median in medians.items():
        print(f"{what}: {median:.0f} us, {median / medians[BARE]:.2f}")


if __name__ == "__main__":
    main()
