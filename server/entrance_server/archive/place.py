"""Where in object storage an installation keeps its files, and what it shows to get there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A prefix of a bucket. What is empty comes from the environment, as AWS's own tools read it.

    Attributes:
        bucket: Its name.
        prefix: What all names of objects begin with.
        endpoint: The URL of a service other than AWS's own.
        region: The region to sign for.
        access_key_id: With `secret_access_key`: whose word is shown.
        secret_access_key: See `access_key_id`.
    """

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    access_key_id: str = ""
    secret_access_key: SecretStr | None = None

    @classmethod
    def of(cls, url: str, **more: Any) -> Self:
        """The place that `s3://bucket/prefix` names.

        Raises:
            ValueError: it names none.
        """
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            raise ValueError(f"'{url}' is not s3://bucket or s3://bucket/prefix")
        if "@" in parts.netloc or ":" in parts.netloc:
            raise ValueError("it names more than a bucket; give endpoint and keys by themselves")
        return cls(bucket=parts.netloc, prefix=parts.path.strip("/"), **more)

    @property
    def host(self) -> str:
        """The service, for messages."""
        return self.endpoint or "S3"

    def options(self) -> dict[str, Any]:
        """What a client is told, beside the bucket; holds secrets."""
        secret = self.secret_access_key
        given = {
            "endpoint": self.endpoint,
            "region": self.region,
            "access_key_id": self.access_key_id,
            "secret_access_key": secret.get_secret_value() if secret else "",
        }
        return {name: value for name, value in given.items() if value}

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/") + f" at {self.host}"
