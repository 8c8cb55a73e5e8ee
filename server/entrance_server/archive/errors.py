"""What can go wrong with object storage."""

from __future__ import annotations


class BucketUnavailable(Exception):
    """Object storage does not do what it is asked; it may do so later."""


class BucketRefused(BucketUnavailable):
    """It will not do so before somebody changes something; the message says what."""


class ObjectMissing(Exception):
    """An object is not there, or not as long as it was."""
