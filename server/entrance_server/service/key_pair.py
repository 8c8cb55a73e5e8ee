"""An RSA key pair. Everything here blocks.

To import this module loads cryptography. So only `LoginKey` does, in a thread, when it is asked.
"""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

_BITS = 2_048
_SCHEMES = (padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None), padding.PKCS1v15())


class KeyPair:
    """Tells its public half, and decrypts what that encrypted.

    Attributes:
        public: SubjectPublicKeyInfo, DER in base64.
        size: The bytes of each encryption.
    """

    def __init__(self, pem: bytes) -> None:
        """From what `new` made.

        Raises:
            ValueError: it is something else.
        """
        key = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ValueError("it holds no RSA key")
        der = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._key = key
        self.public = base64.b64encode(der).decode()
        self.size = key.key_size // 8

    @staticmethod
    def new() -> bytes:
        """A new one, as PEM, which is to be kept secret."""
        made = rsa.generate_private_key(public_exponent=65_537, key_size=_BITS)
        return made.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def decrypted(self, encrypted: bytes) -> str | None:
        """The text in an encryption by OAEP (SHA-256) or PKCS#1 v1.5; None where there is none."""
        for scheme in _SCHEMES:
            try:
                return self._key.decrypt(encrypted, scheme).decode("utf-8", "replace")
            except ValueError:
                continue
        return None
