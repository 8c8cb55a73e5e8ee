"""docs/security.md tells of user code what the tests of isolation try."""

from __future__ import annotations

from pathlib import Path

from tests.system.isolation.table import rows

PAGE = Path(__file__).parents[2] / "docs" / "security.md"


def test_the_page_has_the_table_that_is_tested() -> None:
    assert "\n".join(rows()) in PAGE.read_text()
