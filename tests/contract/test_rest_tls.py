"""HTTPS, TLS between gateway and server, and what is refused without either."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import trustme
from google.protobuf.message import Message

from entrance.v1 import entrance_pb2 as pb
from entrance_gateway import tls
from entrance_gateway.config import GatewaySettings
from entrance_gateway.tls import ProtectionError
from entrance_server.rpc.listen import protection
from tests.contract.rest_gateway import (
    ROOT,
    Script,
    Service,
    events,
    running,
    service,
)
from tests.support.certificates import Certified
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway looks for new certificates often enough for a test."""
    monkeypatch.setattr(tls, "LOOK_INTERVAL", 0.02)


@pytest.fixture
def certified(tmp_path: Path) -> Certified:
    return Certified(tmp_path / "server")


@pytest.fixture
def gateway(tmp_path: Path) -> Certified:
    """The gateway's own certificate, by an authority of its own."""
    return Certified(tmp_path / "gateway", names=["gateway.example"])


class TestHttps:
    async def test_answers_whom_its_certificate_convinces(self, certified: Certified) -> None:
        async with (
            service() as it,
            running(it.port, trust=_trust(certified), **_https(certified)) as own,
        ):
            assert (await own.client.get("/health")).status_code == 200

    @pytest.mark.parametrize("expired", [True, False])
    async def test_does_not_convince_by_an_expired_certificate_or_one_of_a_stranger(
        self, certified: Certified, expired: bool
    ) -> None:
        trust = _trust(certified)
        certified.renew(None if expired else trustme.CA(), expired=expired)
        async with service() as it, running(it.port, trust=trust, **_https(certified)) as own:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await own.client.get("/health")

    async def test_is_not_answered_in_clear(self, certified: Certified) -> None:
        async with service() as it, running(it.port, **_https(certified)) as own:
            with pytest.raises(httpx.HTTPError):
                await own.client.get("/health")

    async def test_takes_a_new_certificate_while_a_stream_goes_on(
        self, certified: Certified
    ) -> None:
        gate = asyncio.Event()
        async with (
            service({"StreamLog": _two_lines(gate)}) as it,
            running(it.port, trust=_trust(certified), **_https(certified)) as own,
            own.client.stream("GET", f"{ROOT}/7/log/stream") as stream,
        ):
            following = events(stream)
            await anext(following)
            certified.renew(trustme.CA())
            base = str(own.client.base_url)
            await eventually(lambda: _is_convinced(base, _trust(certified)), "it is shown")
            gate.set()
            assert [event.name async for event in following] == ["log", "end"]

    async def test_keeps_the_old_certificate_while_the_new_one_is_not_whole(
        self, certified: Certified
    ) -> None:
        async with (
            service() as it,
            running(it.port, trust=_trust(certified), **_https(certified)) as own,
        ):
            base, before = str(own.client.base_url), _trust(certified)
            certified.authority = trustme.CA()
            issued = certified.issue()
            certified.write_certificate(issued)
            assert await _is_convinced(base, before)
            certified.write_key(issued)
            await eventually(lambda: _is_convinced(base, _trust(certified)), "it is shown")


class TestToTheServer:
    async def test_the_gateway_calls_by_tls(self, certified: Certified) -> None:
        async with (
            service(credentials=_server(certified)) as it,
            running(it.port, server_tls_ca=certified.authorities) as own,
        ):
            assert (await own.client.get(f"{ROOT}/7/status")).status_code == 200
            assert (await own.client.get("/ready")).status_code == 200

    async def test_it_does_not_call_a_server_that_nobody_vouches_for(
        self, certified: Certified, gateway: Certified
    ) -> None:
        async with (
            service(credentials=_server(certified)) as it,
            running(it.port, server_tls_ca=gateway.authorities) as own,
        ):
            assert (await own.client.get(f"{ROOT}/7/status")).status_code == 503
            assert it.requests == []

    async def test_it_shows_its_own_certificate(
        self, certified: Certified, gateway: Certified
    ) -> None:
        async with service(credentials=_server(certified, gateway)) as it:
            async with running(it.port, **_mutual(certified, gateway)) as own:
                assert (await own.client.get(f"{ROOT}/7/status")).status_code == 200
            async with running(it.port, server_tls_ca=certified.authorities) as own:
                assert (await own.client.get(f"{ROOT}/7/status")).status_code == 503

    @pytest.mark.parametrize("tunnel", [True, False])
    async def test_new_certificates_of_both_are_taken_while_a_stream_goes_on(
        self, certified: Certified, gateway: Certified, tunnel: bool
    ) -> None:
        gate = asyncio.Event()
        async with (
            service({"StreamLog": _two_lines(gate)}, credentials=_server(certified, gateway)) as it,
            running(it.port, tunnel=tunnel, **_mutual(certified, gateway)) as own,
            own.client.stream("GET", f"{ROOT}/7/log/stream") as stream,
        ):
            following = events(stream)
            await anext(following)
            certified.renew(trustme.CA())
            gateway.renew(trustme.CA())
            await eventually(lambda: _has_connected_anew(own.client, it), "a new connection")
            gate.set()
            assert [event.name async for event in following] == ["log", "end"]


class TestWithoutTls:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "gateway.example"])
    def test_listening_beyond_this_machine_needs_a_plain_word(self, host: str) -> None:
        with pytest.raises(ProtectionError, match=r"--tls-cert and --tls-key.*--insecure"):
            tls.to_callers(GatewaySettings(host=host))
        assert tls.to_callers(GatewaySettings(host=host, allow_insecure=True)) is None

    def test_calling_a_server_elsewhere_needs_a_plain_word(self) -> None:
        target = "server.example:9104"
        with pytest.raises(ProtectionError, match=r"--server-tls-ca.*--insecure"):
            tls.to_server(GatewaySettings(server_target=target))
        assert tls.to_server(GatewaySettings(server_target=target, allow_insecure=True)) is None
        assert tls.to_server(GatewaySettings(server_target=target, server_tls=True)) is not None

    @pytest.mark.parametrize("target", ["127.0.0.1:9104", "[::1]:9104", "unix:/run/e/socket"])
    def test_this_machine_needs_nothing(self, target: str) -> None:
        assert tls.to_callers(GatewaySettings()) is None
        assert tls.to_server(GatewaySettings(server_target=target)) is None

    def test_files_that_can_not_be_used_are_told(self, tmp_path: Path) -> None:
        missing = tmp_path / "missing.pem"
        with pytest.raises(ProtectionError, match=r"missing\.pem"):
            tls.to_callers(GatewaySettings(tls_cert=missing, tls_key=missing))
        with pytest.raises(ProtectionError, match=r"TLS to the server: .*missing\.pem"):
            tls.to_server(GatewaySettings(server_tls_ca=missing))
        with pytest.raises(ProtectionError, match="a certificate without its key"):
            tls.to_callers(GatewaySettings(tls_cert=missing))


def _https(certified: Certified) -> dict[str, Any]:
    return {"tls_cert": certified.certificate, "tls_key": certified.key}


def _mutual(certified: Certified, gateway: Certified) -> dict[str, Any]:
    """Settings of a gateway that shows a certificate and asks for one."""
    return {
        "server_tls_ca": certified.authorities,
        "server_tls_cert": gateway.certificate,
        "server_tls_key": gateway.key,
    }


def _trust(certified: Certified) -> ssl.SSLContext:
    """The trust of a client by HTTPS."""
    return ssl.create_default_context(cadata=certified.authority.cert_pem.bytes().decode())


def _server(certified: Certified, clients: Certified | None = None) -> grpc.ServerCredentials:
    credentials = protection(
        "127.0.0.1",
        certificate=certified.certificate,
        key=certified.key,
        client_authorities=clients.authorities if clients else None,
        allow_insecure=False,
    )
    assert credentials
    return credentials


def _two_lines(gate: asyncio.Event) -> Script:
    """A log of which the second line comes when the gate opens."""

    async def script(*_: object) -> AsyncGenerator[Message, None]:
        for number in (1, 2):
            chunk = pb.LogChunk(
                from_line=number, line_count=1, level=pb.LOG_LEVEL_INFO, text="line\n"
            )
            yield pb.StreamLogResponse(chunks=[chunk], next_line=number + 1)
            await gate.wait()
        yield pb.StreamLogResponse(next_line=3, status=pb.JOB_STATUS_SUCCEED)

    return script


async def _has_connected_anew(client: httpx.AsyncClient, it: Service) -> bool:
    """Whether calls come by another connection than the stream that goes on."""
    assert (await client.get(f"{ROOT}/7/status")).status_code == 200
    return len(it.peers) > 1


async def _is_convinced(base_url: str, trust: ssl.SSLContext) -> bool:
    """Whether a new connection is made."""
    try:
        async with httpx.AsyncClient(base_url=base_url, verify=trust) as client:
            return (await client.get("/health")).status_code == 200
    except httpx.ConnectError:
        return False
