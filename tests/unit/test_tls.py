"""What TLS files hold, whether it fits together, and that a change is seen once it is whole."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from entrance.hosts import is_local, is_loopback
from entrance.tls import TlsError, TlsFiles, TlsSource
from tests.support.certificates import Certified


@pytest.fixture
def certified(tmp_path: Path) -> Certified:
    return Certified(tmp_path)


class TestFiles:
    def test_hold_certificate_key_and_authorities(self, certified: Certified) -> None:
        content = certified.files.read()
        assert content.authorities == certified.authority.cert_pem.bytes()
        assert content.certificate
        assert content.certificate.startswith(b"-----BEGIN CERTIFICATE")
        assert content.key
        assert b"PRIVATE KEY" in content.key

    def test_may_name_authorities_alone_or_nothing(self, certified: Certified) -> None:
        assert TlsFiles().read().certificate is None
        assert TlsFiles(authorities=certified.authorities).read().key is None

    def test_belong_together(self, certified: Certified) -> None:
        with pytest.raises(TlsError, match="a certificate without its key"):
            TlsFiles(certificate=certified.certificate)
        with pytest.raises(TlsError, match="a key without its certificate"):
            TlsFiles(key=certified.key)

    def test_that_are_missing_are_named(self, certified: Certified, tmp_path: Path) -> None:
        with pytest.raises(TlsError, match=r"nothing\.pem can't be used: No such file"):
            TlsFiles(authorities=tmp_path / "nothing.pem").read()

    def test_with_the_key_of_another_certificate_are_refused(self, certified: Certified) -> None:
        certified.write_key(certified.issue())
        with pytest.raises(TlsError, match="belongs to another certificate"):
            certified.files.read()

    def test_with_an_encrypted_key_are_refused_without_a_question(
        self, certified: Certified
    ) -> None:
        key = serialization.load_pem_private_key(certified.key.read_bytes(), None)
        encrypted = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
        certified.key.write_bytes(encrypted)
        with pytest.raises(TlsError, match="the key is encrypted"):
            certified.files.read()

    @pytest.mark.parametrize("content", [b"", b"nothing of the kind"])
    def test_that_hold_something_else_are_refused(
        self, certified: Certified, content: bytes
    ) -> None:
        certified.authorities.write_bytes(content)
        with pytest.raises(TlsError, match=r"ca\.pem can't be used"):
            certified.files.read()


class TestSource:
    def test_sees_nothing_new_without_a_change(self, certified: Certified) -> None:
        assert TlsSource(certified.files).renewed() is None

    def test_gives_a_change_once(self, certified: Certified) -> None:
        source = TlsSource(certified.files)
        before = source.content
        certified.renew()
        assert source.renewed() == source.content != before
        assert source.renewed() is None

    def test_sees_a_file_that_another_one_replaced(
        self, certified: Certified, tmp_path: Path
    ) -> None:
        source = TlsSource(certified.files)
        other = trustme.CA().cert_pem.bytes()
        (tmp_path / "new").write_bytes(other)
        (tmp_path / "new").replace(certified.authorities)
        content = source.renewed()
        assert content
        assert content.authorities == other

    def test_keeps_what_it_has_until_certificate_and_key_fit_again(
        self, certified: Certified
    ) -> None:
        source = TlsSource(certified.files)
        before = source.content
        issued = certified.issue()

        certified.write_certificate(issued)
        with pytest.raises(TlsError, match="belongs to another certificate"):
            source.renewed()
        assert source.renewed() is None
        assert source.content is before

        certified.write_key(issued)
        assert source.renewed() == certified.files.read()

    def test_keeps_what_it_has_while_a_file_is_away(self, certified: Certified) -> None:
        source = TlsSource(certified.files)
        key = certified.key.read_bytes()
        certified.key.unlink()
        with pytest.raises(TlsError, match="No such file"):
            source.renewed()
        certified.key.write_bytes(key)
        assert source.renewed() is None

    def test_gives_the_new_certificate_to_a_context_in_use(self, certified: Certified) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        source = TlsSource(certified.files)
        source.files.load_into(context)
        certified.renew()
        assert source.renewed()
        source.files.load_into(context)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_this_machine_alone(host: str) -> None:
    assert is_loopback(host)
    assert is_local(f"[{host}]:9104" if ":" in host else f"{host}:9104")


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.7", "service.example", "127.0.0.1.example", "", "fe80::1"]
)
def test_every_other_address_may_be_reached_from_elsewhere(host: str) -> None:
    assert not is_loopback(host)
    assert not is_local(f"[{host}]:9104" if ":" in host else f"{host}:9104")
