"""How server and gateway write their own logs; it needs structlog, which their extras bring."""

from __future__ import annotations

import sys

import structlog


def configure(level: str = "info") -> None:
    """Sends lines to stderr, from a level on.

    A traceback tells no values of variables: among them are tokens, passwords and code.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
