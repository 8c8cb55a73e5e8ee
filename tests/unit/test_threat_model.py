"""docs/security.md names each boundary with a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
MODEL = PAGE.partition("## Threat model")[2].partition("\n## ")[0]
ROWS = [line.split("|")[1:-1] for line in MODEL.splitlines() if line.startswith("| ")][1:]


def test_each_boundary_names_its_tests() -> None:
    assert len(ROWS) > 10
    for boundary, _, _, shown_by in ROWS:
        tests = re.findall(r"`(tests/[^`]+)`", shown_by)
        assert tests, boundary
        for test in tests:
            assert (ROOT / test).exists(), test
