"""The key pair by which a password comes encrypted, for callers that have no TLS."""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from entrance_server.data_dir import private_once
from entrance_server.domain import errors

KEY_FILE = "login.key"
_BITS = 2_048
_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


class LoginKey:
    """An RSA key pair in a file for its owner alone, made when it is first asked for.

    Servers that share the directory have the same one, so that each reads what was encrypted for
    another.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / KEY_FILE
        self._key: rsa.RSAPrivateKey | None = None
        self._making = asyncio.Lock()

    async def public(self) -> str:
        """The public key: SubjectPublicKeyInfo, DER in base64."""
        key = await self._private()
        der = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return base64.b64encode(der).decode()

    async def decrypt(self, text: str) -> str:
        """The password in a text: base64 of its encryption, with OAEP (SHA-256) or PKCS#1 v1.5.

        What another key has encrypted becomes a password that nobody has, so that the answer is the
        one for a wrong password and tells nothing of the padding.

        Raises:
            InvalidRequest: the text can't have been made by this key.
        """
        key = await self._private()
        try:
            encrypted = base64.b64decode("".join(text.split()), validate=True)
        except (ValueError, binascii.Error):
            encrypted = b""
        if len(encrypted) != key.key_size // 8:
            message = "must be encrypted by the key of GetPublicKey, in base64"
            raise errors.InvalidRequest(
                f"The password {message}.",
                reason="WRONG_ENCRYPTION",
                violations=[errors.FieldViolation("password", message)],
            )
        return await asyncio.to_thread(_decrypted, key, encrypted)

    async def _private(self) -> rsa.RSAPrivateKey:
        async with self._making:
            if self._key is None:
                self._key = await asyncio.to_thread(_load_or_make, self._path)
            return self._key


def _decrypted(key: rsa.RSAPrivateKey, encrypted: bytes) -> str:
    """Blocks."""
    for scheme in (_OAEP, padding.PKCS1v15()):
        try:
            return key.decrypt(encrypted, scheme).decode("utf-8", "replace")
        except ValueError:
            continue
    return secrets.token_urlsafe()


def _load_or_make(path: Path) -> rsa.RSAPrivateKey:
    """Blocks."""
    key = serialization.load_pem_private_key(private_once(path, _new_key), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"{path} holds no RSA key; remove it, and a new one is made")
    return key


def _new_key() -> bytes:
    made = rsa.generate_private_key(public_exponent=65_537, key_size=_BITS)
    return made.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
