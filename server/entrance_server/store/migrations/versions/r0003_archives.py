"""Which ended jobs have their files in object storage, and whether they have them here too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TaskId = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Makes every job one that has its files here alone."""
    op.add_column("jobs", sa.Column("archive_time", sa.BigInteger))
    op.add_column(
        "jobs", sa.Column("has_local", sa.Boolean, nullable=False, server_default=sa.true())
    )
    _create_queue(
        "unarchived", "archive_time IS NULL AND removed_time IS NULL AND stored_bytes > 0"
    )
    _create_queue("local_copies", "archive_time IS NOT NULL AND has_local")
    op.create_table(
        "archives",
        sa.Column("task_id", _TaskId, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("files", sa.Text),
        sa.PrimaryKeyConstraint("task_id", name="pk_archives"),
        sa.ForeignKeyConstraint(
            ["task_id"], ["jobs.task_id"], name="fk_archives_task_id", ondelete="CASCADE"
        ),
    )


def _create_queue(name: str, condition: str) -> None:
    """An index of what is still to be done, which is empty when all is done."""
    where = sa.text(condition)
    op.create_index(
        f"ix_jobs_{name}",
        "jobs",
        ["instance", "end_time"],
        sqlite_where=where,
        postgresql_where=where,
    )
