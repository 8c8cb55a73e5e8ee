"""The key pair by which a password comes encrypted, for callers that have no TLS."""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from entrance_server.data_dir import private_once
from entrance_server.domain import errors

if TYPE_CHECKING:
    from entrance_server.service.key_pair import KeyPair

KEY_FILE = "login.key"


class LoginKey:
    """An RSA key pair in a file for its owner alone, made when it is first asked for.

    Servers that share the directory have the same one, so that each reads what was encrypted for
    another.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / KEY_FILE
        self._key: KeyPair | None = None
        self._making = asyncio.Lock()

    async def public(self) -> str:
        """The public key: SubjectPublicKeyInfo, DER in base64."""
        return (await self._private()).public

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
        if len(encrypted) != key.size:
            message = "must be encrypted by the key of GetPublicKey, in base64"
            raise errors.InvalidRequest(
                f"The password {message}.",
                reason="WRONG_ENCRYPTION",
                violations=[errors.FieldViolation("password", message)],
            )
        found = await asyncio.to_thread(key.decrypted, encrypted)
        return secrets.token_urlsafe() if found is None else found

    async def _private(self) -> KeyPair:
        async with self._making:
            if self._key is None:
                self._key = await asyncio.to_thread(_load_or_make, self._path)
            return self._key


def _load_or_make(path: Path) -> KeyPair:
    """Blocks, also to load what knows keys."""
    from entrance_server.service.key_pair import KeyPair

    try:
        return KeyPair(private_once(path, KeyPair.new))
    except ValueError as error:
        raise ValueError(f"{path}: {error}; remove it, and a new one is made") from error
