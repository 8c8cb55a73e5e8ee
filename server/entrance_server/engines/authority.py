"""The certificates by which servers and runners on other machines know each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_YEARS = 30
LIFETIME = timedelta(days=365)
SKEW = timedelta(days=1)  # by which machines' clocks may differ
SERVER = "server.entrance"


@dataclass(frozen=True, slots=True)
class Certified:
    """A key and its certificate, as PEM."""

    key: bytes
    certificate: bytes


class Authority:
    """Certifies servers as callers, and runners, each by its session's name, as those who answer.

    A certificate is good for one of the two, so that no runner can call another one. All servers
    of a store have the same authority, and so reach each other's runners.
    """

    def __init__(self, pem: bytes) -> None:
        """From what `new` made.

        Raises:
            ValueError: it is something else.
        """
        key = load_pem_private_key(pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the key of the authority is of another kind")
        self._key = key
        self._certificate = x509.load_pem_x509_certificate(pem)
        self.certificate = self._certificate.public_bytes(Encoding.PEM)

    @staticmethod
    def new() -> bytes:
        """A new authority, as PEM: its key, which is to be kept, and its certificate."""
        key = _new_key()
        name = _name("Entrance runners")
        certificate = (
            _builder(name, name, key, timedelta(days=365 * AUTHORITY_YEARS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return _pem(key) + certificate.public_bytes(Encoding.PEM)

    def runner(self, session_id: str) -> Certified:
        """What a session's runner answers by."""
        return self._certified(runner_name(session_id), ExtendedKeyUsageOID.SERVER_AUTH)

    def caller(self) -> grpc.ChannelCredentials:
        """What a server calls runners by, and checks them with."""
        own = self._certified(SERVER, ExtendedKeyUsageOID.CLIENT_AUTH)
        return grpc.ssl_channel_credentials(self.certificate, own.key, own.certificate)

    def _certified(self, name: str, purpose: x509.ObjectIdentifier) -> Certified:
        key = _new_key()
        certificate = (
            _builder(_name(name), self._certificate.subject, key, LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Certified(_pem(key), certificate.public_bytes(Encoding.PEM))


def runner_name(session_id: str) -> str:
    """The name in the certificate of a session's runner."""
    return f"{session_id}.runner.entrance"


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + lifetime)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
