"""Who can connect to the gRPC port by TLS, and that certificates change while calls go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import trustme

from entrance.tls import TlsContent, TlsFiles
from entrance.v1 import entrance_pb2 as pb
from entrance_server.rpc.listen import ListenError, listen, listen_locally, protection
from tests.contract.grpc_edge import AS_ALICE, PATIENCE, Services, edge_server, stub
from tests.support.certificates import Certified


@dataclass(frozen=True)
class Edge:
    """An edge that serves by TLS, and the certificate that it shows."""

    port: int
    certified: Certified
    services: Services

    @property
    def trust(self) -> TlsContent:
        """What a client needs that has no certificate of its own."""
        return TlsContent(authorities=self.certified.authority.cert_pem.bytes())

    @asynccontextmanager
    async def channel(self, content: TlsContent) -> AsyncIterator[grpc.aio.Channel]:
        """A channel with a connection of its own."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        target = f"127.0.0.1:{self.port}"
        credentials = content.channel_credentials()
        async with grpc.aio.secure_channel(target, credentials, options=options) as channel:
            yield channel

    async def answers(self, content: TlsContent) -> bool:
        """Whether a client can connect and make a call."""
        async with self.channel(content) as channel:
            call = stub(channel).ListEngines(pb.ListEnginesRequest(), metadata=AS_ALICE)
            code = await call.code()
        assert code in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE)
        return code is grpc.StatusCode.OK


@asynccontextmanager
async def edge(certified: Certified, client_authorities: Path | None = None) -> AsyncIterator[Edge]:
    """An edge at a free port."""
    credentials = protection(
        "127.0.0.1",
        certificate=certified.certificate,
        key=certified.key,
        client_authorities=client_authorities,
        allow_insecure=False,
    )
    assert credentials
    services = Services()
    server = edge_server(services)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        async with asyncio.timeout(PATIENCE):
            yield Edge(port, certified, services)
    finally:
        await server.stop(grace=1)


@pytest.fixture
def certified(tmp_path: Path) -> Certified:
    return Certified(tmp_path / "server")


@pytest.fixture
def client(tmp_path: Path) -> Certified:
    """A client with a certificate by an authority of its own."""
    return Certified(tmp_path / "client", names=["client.example"])


class TestAServer:
    async def test_answers_whom_its_certificate_convinces(self, certified: Certified) -> None:
        async with edge(certified) as it:
            assert await it.answers(it.trust)

    async def test_does_not_convince_a_client_that_trusts_somebody_else(
        self, certified: Certified
    ) -> None:
        async with edge(certified) as it:
            stranger = TlsContent(authorities=trustme.CA().cert_pem.bytes())
            assert not await it.answers(stranger)
            assert it.services.asked == []

    async def test_does_not_convince_by_an_expired_certificate(self, certified: Certified) -> None:
        certified.renew(expired=True)
        async with edge(certified) as it:
            assert not await it.answers(it.trust)

    async def test_does_not_convince_by_a_certificate_for_another_name(
        self, tmp_path: Path
    ) -> None:
        async with edge(Certified(tmp_path, names=["other.example"])) as it:
            assert not await it.answers(it.trust)

    async def test_does_not_answer_a_client_without_tls(self, certified: Certified) -> None:
        async with edge(certified) as it, grpc.aio.insecure_channel(f"127.0.0.1:{it.port}") as ch:
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await stub(ch).Status(pb.StatusRequest(id="7"), metadata=AS_ALICE)
            assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
            assert it.services.asked == []


class TestAServerThatAsksForCertificates:
    async def test_answers_a_client_whose_authority_it_trusts(
        self, certified: Certified, client: Certified
    ) -> None:
        async with edge(certified, client.authorities) as it:
            assert await it.answers(_identified(it, client))

    async def test_refuses_a_client_without_a_certificate(
        self, certified: Certified, client: Certified
    ) -> None:
        async with edge(certified, client.authorities) as it:
            assert not await it.answers(it.trust)
            assert it.services.asked == []

    async def test_refuses_a_certificate_of_another_authority(
        self, certified: Certified, client: Certified, tmp_path: Path
    ) -> None:
        async with edge(certified, client.authorities) as it:
            assert not await it.answers(_identified(it, Certified(tmp_path / "stranger")))

    async def test_refuses_an_expired_certificate(
        self, certified: Certified, client: Certified
    ) -> None:
        async with edge(certified, client.authorities) as it:
            client.renew(expired=True)
            assert not await it.answers(_identified(it, client))

    async def test_still_asks_for_a_token(self, certified: Certified, client: Certified) -> None:
        async with (
            edge(certified, client.authorities) as it,
            it.channel(_identified(it, client)) as channel,
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await stub(channel).Status(pb.StatusRequest(id="7"))
            assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED

    async def test_takes_another_authority_of_clients_without_a_restart(
        self, certified: Certified, client: Certified
    ) -> None:
        async with edge(certified, client.authorities) as it:
            before = _identified(it, client)
            client.renew(trustme.CA())
            assert await it.answers(_identified(it, client))
            assert not await it.answers(before)


class TestANewCertificate:
    async def test_is_shown_from_the_next_connection_on(self, certified: Certified) -> None:
        async with edge(certified) as it:
            before = it.trust
            certified.renew(trustme.CA())
            assert await it.answers(it.trust)
            assert not await it.answers(before)

    async def test_lets_calls_go_on_that_began_before(self, certified: Certified) -> None:
        async with edge(certified) as it, it.channel(it.trust) as channel:
            it.services.gate = asyncio.Event()
            stream = stub(channel).WatchJob(pb.WatchJobRequest(id="7"), metadata=AS_ALICE)
            await stream.read()
            certified.renew(trustme.CA())
            assert await it.answers(it.trust)
            it.services.gate.set()
            assert await stream.read() is grpc.aio.EOF
            assert await stream.code() is grpc.StatusCode.OK

    async def test_counts_only_with_its_key(self, certified: Certified) -> None:
        async with edge(certified) as it:
            before = it.trust
            certified.authority = trustme.CA()
            issued = certified.issue()
            certified.write_certificate(issued)
            assert await it.answers(before)
            certified.write_key(issued)
            assert await it.answers(it.trust)


class TestListening:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "service.example"])
    def test_beyond_this_machine_needs_tls_or_a_plain_word(
        self, host: str, certified: Certified
    ) -> None:
        with pytest.raises(ListenError, match=r"--tls-cert and --tls-key.*--insecure"):
            _protection(host, TlsFiles())
        assert _protection(host, TlsFiles(), allow_insecure=True) is None
        assert _protection(host, TlsFiles(certified.certificate, certified.key)) is not None

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
    def test_on_this_machine_needs_nothing(self, host: str) -> None:
        assert _protection(host, TlsFiles()) is None

    def test_with_files_that_can_not_be_used_is_refused(self, certified: Certified) -> None:
        certified.write_key(certified.issue())
        with pytest.raises(ListenError, match="the key belongs to another certificate"):
            _protection("127.0.0.1", TlsFiles(certified.certificate, certified.key))

    def test_with_authorities_of_clients_needs_an_own_certificate(
        self, certified: Certified
    ) -> None:
        with pytest.raises(ListenError, match="without one of its own"):
            _protection("127.0.0.1", TlsFiles(authorities=certified.authorities))

    async def test_at_a_port_that_is_taken_is_refused(self) -> None:
        first, second = edge_server(Services()), edge_server(Services())
        port = first.add_insecure_port("127.0.0.1:0")
        with pytest.raises(ListenError, match="choose another one with --host and --port"):
            listen(second, "127.0.0.1", port, None)

    async def test_at_a_socket_is_for_the_own_user_alone(self, tmp_path: Path) -> None:
        folder = tmp_path / "private"
        folder.mkdir(mode=0o700)
        server = edge_server(Services())
        listen_locally(server, folder / "socket")
        await server.start()
        try:
            assert (folder / "socket").stat().st_mode & 0o777 == 0o600
            async with grpc.aio.insecure_channel(f"unix:{folder / 'socket'}") as channel:
                await stub(channel).Status(pb.StatusRequest(id="7"), metadata=AS_ALICE)
        finally:
            await server.stop(grace=1)

    async def test_at_a_socket_needs_a_private_directory(self, tmp_path: Path) -> None:
        folder = tmp_path / "open"
        folder.mkdir()
        folder.chmod(0o755)
        with pytest.raises(ListenError, match="Others may enter"):
            listen_locally(edge_server(Services()), folder / "socket")

    async def test_at_a_socket_that_can_not_be_made_is_refused(self, tmp_path: Path) -> None:
        for path in (tmp_path / "nothing" / "socket", tmp_path / ("s" * 120)):
            with pytest.raises(ListenError, match="choose another one with --local-socket"):
                listen_locally(edge_server(Services()), path)


def _identified(it: Edge, client: Certified) -> TlsContent:
    """What a client needs that has a certificate."""
    own = client.files.read()
    return TlsContent(own.certificate, own.key, it.trust.authorities)


def _protection(
    host: str, files: TlsFiles, *, allow_insecure: bool = False
) -> grpc.ServerCredentials | None:
    return protection(
        host,
        certificate=files.certificate,
        key=files.key,
        client_authorities=files.authorities,
        allow_insecure=allow_insecure,
    )
