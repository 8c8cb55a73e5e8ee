"""A runner on a port of the network: who may call it, whom its server believes, and its end."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import pytest

from entrance.engine.v1 import engine_pb2 as pb
from entrance.engine.v1 import engine_pb2_grpc
from entrance_server.engines.authority import Authority, runner_name
from tests.system.runner.client import DEADLINE

SESSION = "0123456789abcdef"


@dataclass
class PortRunner:
    """A runner, and the authority of its server."""

    authority: Authority
    address: str
    process: asyncio.subprocess.Process

    async def called(
        self, credentials: grpc.ChannelCredentials | None, *, name: str = runner_name(SESSION)
    ) -> int:
        """Calls the runner; its process."""
        options = (("grpc.ssl_target_name_override", name), ("grpc.default_authority", name))
        async with (
            grpc.aio.insecure_channel(self.address)
            if credentials is None
            else grpc.aio.secure_channel(self.address, credentials, options=options)
        ) as channel:
            stub = engine_pb2_grpc.EngineServiceStub(channel)
            return (await stub.Describe(pb.DescribeRequest(), timeout=DEADLINE)).pid

    async def refuses(
        self, credentials: grpc.ChannelCredentials | None, *, name: str = runner_name(SESSION)
    ) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.called(credentials, name=name)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


@asynccontextmanager
async def port_runner(directory: Path) -> AsyncIterator[PortRunner]:
    authority = Authority(Authority.new())
    own = authority.runner(SESSION)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "entrance_runner", "--address=ipv4:127.0.0.1:0"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=directory,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    credentials = {
        "key": own.key.decode(),
        "certificate": own.certificate.decode(),
        "authority": authority.certificate.decode(),
    }
    process.stdin.write(json.dumps(credentials).encode() + b"\n")
    try:
        async with asyncio.timeout(DEADLINE):
            address = (await process.stdout.readline()).decode().strip()
            yield PortRunner(authority, address, process)
    finally:
        process.stdin.close()
        await process.wait()


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[PortRunner]:
    async with port_runner(tmp_path) as runner:
        yield runner


async def test_its_own_server_calls_it(runner: PortRunner) -> None:
    assert runner.address.startswith("ipv4:127.0.0.1:")
    assert await runner.called(runner.authority.caller()) != runner.process.pid


async def test_a_server_that_starts_again_calls_it_with_a_new_certificate(
    runner: PortRunner,
) -> None:
    first = await runner.called(runner.authority.caller())
    assert await runner.called(runner.authority.caller()) == first


async def test_who_shows_no_certificate_is_refused(runner: PortRunner) -> None:
    await runner.refuses(None)
    await runner.refuses(grpc.ssl_channel_credentials(runner.authority.certificate))


async def test_a_certificate_of_another_authority_is_refused(runner: PortRunner) -> None:
    other = Authority(Authority.new())
    await runner.refuses(other.caller())
    false = other.runner(SESSION)
    await runner.refuses(
        grpc.ssl_channel_credentials(runner.authority.certificate, false.key, false.certificate)
    )


async def test_another_runner_is_refused(runner: PortRunner) -> None:
    other = runner.authority.runner("f" * 16)
    await runner.refuses(
        grpc.ssl_channel_credentials(runner.authority.certificate, other.key, other.certificate)
    )


async def test_a_server_refuses_a_runner_of_another_session(runner: PortRunner) -> None:
    await runner.refuses(runner.authority.caller(), name=runner_name("f" * 16))


async def test_it_ends_when_whoever_started_it_is_gone(runner: PortRunner) -> None:
    assert runner.process.stdin is not None
    runner.process.stdin.close()
    assert await runner.process.wait() == 0


async def test_it_does_not_start_without_credentials(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "entrance_runner", "--address=ipv4:127.0.0.1:0"),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
    )
    _, told = await process.communicate()
    assert process.returncode != 0
    assert b"credentials" in told.splitlines()[-1]
