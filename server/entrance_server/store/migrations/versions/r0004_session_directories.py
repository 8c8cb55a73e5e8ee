"""Where the files of a session are, for whichever server ends it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Leaves the directories of earlier sessions to the servers that made them."""
    op.add_column("sessions", sa.Column("directory", sa.Text, nullable=False, server_default=""))
