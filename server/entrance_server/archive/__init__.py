"""Object storage for what ended jobs left behind, and the copies of it that are being read.

`archive.bucket` is imported by itself, since it needs the extra `s3`.
"""

from entrance_server.archive.cache import Cache, CacheFull
from entrance_server.archive.errors import BucketRefused, BucketUnavailable, ObjectMissing
from entrance_server.archive.place import Place

__all__ = ["BucketRefused", "BucketUnavailable", "Cache", "CacheFull", "ObjectMissing", "Place"]
