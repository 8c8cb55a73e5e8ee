"""Which server acts for a job and a session, and the leases of servers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes each job's instance its owner."""
    # defaults, since SQLite adds a column that is never null only with one
    op.add_column("jobs", sa.Column("owner", sa.Text, nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"))
    op.execute("UPDATE jobs SET owner = instance")
    op.add_column("sessions", sa.Column("owner", sa.Text, nullable=False, server_default=""))
    op.add_column("sessions", sa.Column("host", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "instances",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("home", sa.Text, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("lease_expire_time", sa.BigInteger),
        sa.PrimaryKeyConstraint("name", name="pk_instances"),
    )
