"""What can be wrong with a result."""

from __future__ import annotations


class ResultRejected(Exception):
    """A runner's file is not what it should be; sending it again can't help."""


class ResultUnavailable(Exception):
    """A result file can't be read or kept now: it is gone or damaged, or the disk is full."""


class UnreadableTable(ResultUnavailable):
    """A file is no table, or a damaged one."""


class PageTooLarge(Exception):
    """Rows that were asked for are more than may be told at once."""
