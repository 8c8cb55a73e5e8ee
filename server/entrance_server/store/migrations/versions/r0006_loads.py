"""The jobs of a group that wait or run, found without a look at those of other groups."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the index where servers share the database; a server alone counts in memory."""
    if op.get_bind().dialect.name == "postgresql":
        op.create_index(
            "ix_jobs_load",
            "jobs",
            ["execute_user", "creator", "engine_type", "status"],
            postgresql_where=sa.text("status IN ('Inited', 'Scheduled', 'Running')"),
        )
