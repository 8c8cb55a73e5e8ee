"""What server and gateway write into their own logs."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import structlog
from entrance import service_log

def sign_in(password):
    raise ValueError("no such user")

service_log.configure("info")
log = structlog.get_logger()
log.debug("unseen")
log.info("started", port=1)
try:
    sign_in("a" + "secret")
except ValueError as error:
    log.error("failed", exc_info=error)
"""


def test_a_traceback_tells_where_but_no_values() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )

    assert "started" in done.stderr
    assert "unseen" not in done.stderr
    assert "in sign_in" in done.stderr
    assert "ValueError: no such user" in done.stderr
    assert "asecret" not in done.stderr
    assert done.stdout == ""
