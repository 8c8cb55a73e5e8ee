"""What the log of a job tells before it runs, so that the log need not be written at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Leaves the jobs that there are without notes, which their logs have already."""
    op.add_column("jobs", sa.Column("notes", sa.Text))
