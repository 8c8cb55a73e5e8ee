"""A runner process and what a server would do with it, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
import psutil
from google.protobuf import duration_pb2

from entrance.engine.v1 import engine_pb2 as pb
from entrance.engine.v1 import engine_pb2_grpc
from entrance.v1 import entrance_pb2

EventCall = grpc.aio.StreamStreamCall[pb.StreamEventsRequest, pb.StreamEventsResponse]

DEADLINE = 120.0  # seconds; much output takes long on a busy machine
SUCCEED = entrance_pb2.JOB_STATUS_SUCCEED
FAILED = entrance_pb2.JOB_STATUS_FAILED
CANCELLED = entrance_pb2.JOB_STATUS_CANCELLED


@dataclass
class Outcome:
    """What a run reported, in the order in which it came."""

    events: list[pb.Event] = field(default_factory=list)

    @property
    def log(self) -> str:
        return "".join(event.log.text for event in self.events if event.HasField("log"))

    @property
    def results(self) -> list[pb.ResultEvent]:
        return [event.result for event in self.events if event.HasField("result")]

    @property
    def progress(self) -> list[pb.ProgressEvent]:
        return [event.progress for event in self.events if event.HasField("progress")]

    @property
    def end(self) -> pb.EndEvent:
        assert self.events[-1].HasField("end")
        return self.events[-1].end


class RunnerClient:
    """A server's side of one runner."""

    def __init__(self, process: asyncio.subprocess.Process, directory: Path, address: str) -> None:
        self.process = process
        self.directory = directory
        self.work = directory / "work"
        self.channel = grpc.aio.insecure_channel(address)
        self.stub = engine_pb2_grpc.EngineServiceStub(self.channel)

    @property
    def socket(self) -> Path:
        return self.directory / "runner.sock"

    @functools.cached_property  # to find it is a look at all processes of the machine
    def host(self) -> psutil.Process:
        """The process that hosts the session; the one that a server starts only guards it."""
        (host,) = psutil.Process(self.process.pid).children()
        return host

    @property
    def starter(self) -> psutil.Process:
        """The process that starts the others: the host's first child."""
        return min(self.host.children(), key=psutil.Process.create_time)

    def below(self) -> list[psutil.Process]:
        """Every living process below the host but for the starter; none once the runner ended."""
        found = []
        with contextlib.suppress(psutil.NoSuchProcess, ValueError):  # one that is spent ends
            starter = self.starter
            for process in self.host.children(recursive=True):
                if process != starter and _is_living(process):
                    found.append(process)
        return found

    async def open(
        self,
        engine_type: str,
        *,
        options: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> pb.OpenSessionResponse:
        self.work.mkdir(exist_ok=True)
        await self.until(self.socket.exists)
        request = pb.OpenSessionRequest(
            session_id="session",
            engine_type=engine_type,
            user="alice",
            working_directory=str(self.work),
            environment=environment or {"PATH": os.environ["PATH"]},
            options=options or {},
            secrets=secrets or {},
        )
        return await self.stub.OpenSession(request, timeout=DEADLINE)

    async def start(
        self,
        code: str,
        run_type: str,
        *,
        run_id: str = "",
        fifo: str | None = None,
        options: Mapping[str, str] | None = None,
    ) -> str:
        """Starts a run; `fifo` makes one in its directory, with which a test can hold it up."""
        if fifo:
            os.mkfifo(self.work / fifo)
        run = self.new_run(code, run_type, run_id=run_id, options=options)
        await self.begin(run)
        return run.run_id

    def new_run(
        self,
        code: str,
        run_type: str,
        *,
        run_id: str = "",
        options: Mapping[str, str] | None = None,
    ) -> pb.NewRun:
        """A run with a directory for its results."""
        run_id = run_id or secrets.token_hex(4)
        results = self.results(run_id)
        results.mkdir(exist_ok=True)
        return pb.NewRun(
            run_id=run_id,
            code=code,
            run_type=run_type,
            result_directory=str(results),
            options=options or {},
        )

    async def begin(self, run: pb.NewRun) -> None:
        """Starts a run by a stream that ends as soon as the runner has taken it."""
        call = self.stub.StreamEvents(timeout=DEADLINE)
        try:
            await call.write(pb.StreamEventsRequest(new_run=run))
            assert not (await self.read(call)).events
        finally:
            call.cancel()

    async def read(self, call: EventCall) -> pb.StreamEventsResponse:
        """The next message of a stream that goes on."""
        async with asyncio.timeout(DEADLINE):
            response = await call.read()
        assert isinstance(response, pb.StreamEventsResponse)
        return response

    def results(self, run_id: str) -> Path:
        return self.directory / f"results-{run_id}"

    async def events(
        self, run_id: str, *, seq: int = 0, acknowledge: bool = True
    ) -> AsyncIterator[pb.Event]:
        """The events of a run, to its end."""
        call = self.stub.StreamEvents(timeout=DEADLINE)
        await call.write(pb.StreamEventsRequest(run_id=run_id, seq=seq))
        ended = False
        try:
            async for response in call:
                for event in response.events:
                    ended = event.HasField("end")
                    yield event
                    if acknowledge:
                        await call.write(pb.StreamEventsRequest(seq=event.seq))
                if ended:
                    await call.done_writing()  # or the runner would wait for the acknowledgement
        except grpc.aio.AioRpcError:
            if not (ended and acknowledge):
                raise
            # a runner that closes goes as soon as its last event is acknowledged
        finally:
            call.cancel()

    async def follow(self, run_id: str, *, seq: int = 0, acknowledge: bool = True) -> Outcome:
        """Everything that a run reports, to its end."""
        outcome = Outcome()
        async for event in self.events(run_id, seq=seq, acknowledge=acknowledge):
            outcome.events.append(event)
        return outcome

    async def run(
        self, code: str, run_type: str, *, options: Mapping[str, str] | None = None
    ) -> Outcome:
        """Runs code to its end."""
        return await self.follow(await self.start(code, run_type, options=options))

    async def interrupt(self, run_id: str, *, grace: float) -> None:
        period = duration_pb2.Duration()
        period.FromMilliseconds(int(grace * 1000))
        await self.stub.Interrupt(pb.InterruptRequest(run_id=run_id, grace_period=period))

    async def pause(self, run_id: str) -> None:
        await self.stub.Pause(pb.PauseRequest(run_id=run_id))

    async def resume(self, run_id: str) -> None:
        await self.stub.Resume(pb.ResumeRequest(run_id=run_id))

    async def describe(self) -> pb.DescribeResponse:
        return await self.stub.Describe(pb.DescribeRequest(), timeout=DEADLINE)

    def memory(self) -> int:
        """Bytes that the runner itself uses."""
        return int(self.host.memory_info().rss)

    async def until(self, condition: Callable[[], object]) -> None:
        """Waits for something to become true outside."""
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def until_still(self, value: Callable[[], object]) -> None:
        """Waits until something outside has not changed in 50 looks."""
        seen: list[object] = []

        def is_still() -> bool:
            seen.append(value())
            return len(seen) > 50 and len(set(seen[-50:])) == 1

        await self.until(is_still)

    async def close(self) -> int:
        """Closes the session; the runner's exit status."""
        await self.stub.Close(pb.CloseRequest(), timeout=DEADLINE)
        return await self.process.wait()


def _is_living(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextlib.asynccontextmanager
async def started_runner(
    directory: Path,
    *,
    orphan_timeout: float = 60,
    exit_status: int = 0,
    environment: Mapping[str, str] | None = None,
    isolation: Path | None = None,
) -> AsyncIterator[RunnerClient]:
    """A runner; at the end it and everything below it must be gone."""
    address = f"unix:{directory}/runner.sock"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "entrance_runner", "--address", address),
        *("--orphan-timeout", str(orphan_timeout)),
        *(["--isolation", str(isolation)] if isolation else []),
        stdin=asyncio.subprocess.DEVNULL,
        cwd=directory,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    runner = RunnerClient(process, directory, address)
    try:
        yield runner
    finally:
        family = []
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):  # it ended by itself
            if process.returncode is None:
                family = psutil.Process(process.pid).children(recursive=True)
                process.terminate()
        async with asyncio.timeout(DEADLINE):
            await process.wait()
        await runner.channel.close()
    assert process.returncode == exit_status, process.returncode
    assert not [child for child in family if child.is_running()]
    assert not runner.socket.exists()
