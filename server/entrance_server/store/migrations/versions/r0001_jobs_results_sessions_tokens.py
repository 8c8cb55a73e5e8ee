"""Jobs, results, sessions, tokens, users and their logins."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TaskId = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Makes the first schema."""
    _create_jobs()
    _create_results()
    _create_sessions()
    _create_offline_instances()
    _create_tokens()
    _create_users()
    _create_login_sessions()


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("task_id", _TaskId, autoincrement=True, nullable=False),
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("progress", sa.Double, nullable=False),
        sa.Column("submit_user", sa.Text, nullable=False),
        sa.Column("execute_user", sa.Text, nullable=False),
        sa.Column("creator", sa.Text, nullable=False),
        sa.Column("engine_type", sa.Text, nullable=False),
        sa.Column("run_type", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("prepared_code", sa.Text),
        sa.Column("params", sa.Text, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("request_id", sa.Text),
        sa.Column("request_digest", sa.LargeBinary),
        sa.Column("session_id", sa.Text),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("update_time", sa.BigInteger, nullable=False),
        sa.Column("start_time", sa.BigInteger),
        sa.Column("end_time", sa.BigInteger),
        sa.Column("error_code", sa.Integer),
        sa.Column("error_message", sa.Text),
        sa.Column("result_count", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("progress_info", sa.Text, nullable=False),
        sa.Column("retry_time", sa.BigInteger),
        sa.Column("pause_time", sa.BigInteger),
        sa.Column("paused_for", sa.BigInteger, nullable=False),
        sa.Column("schedule_time", sa.BigInteger),
        sa.Column("session_reused", sa.Boolean),
        sa.Column("has_files", sa.Boolean, nullable=False),
        sa.Column("stored_bytes", sa.BigInteger),
        sa.Column("removed_time", sa.BigInteger),
        sa.PrimaryKeyConstraint("task_id", name="pk_jobs"),
        sa.UniqueConstraint("submit_user", "request_id", name="uq_jobs_submit_user_request_id"),
        sqlite_autoincrement=True,
    )
    for column in ("execute_user", "creator", "status"):
        name = f"ix_jobs_{column}_task_id_create_time"
        op.create_index(name, "jobs", [column, "task_id", "create_time"])
    op.create_index("ix_jobs_session_id_task_id", "jobs", ["session_id", "task_id"])
    op.create_index("ix_jobs_create_time", "jobs", ["create_time"])
    op.create_index("ix_jobs_instance_status", "jobs", ["instance", "status"])
    stored = ["instance", "has_files", "end_time", "stored_bytes"]
    op.create_index(f"ix_jobs_{'_'.join(stored)}", "jobs", stored)


def _create_results() -> None:
    op.create_table(
        "results",
        sa.Column("task_id", _TaskId, nullable=False),
        sa.Column("result_index", sa.Integer, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("file_name", sa.Text, nullable=False),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("columns", sa.Text, nullable=False),
        sa.Column("statement", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("task_id", "result_index", name="pk_results"),
        sa.ForeignKeyConstraint(
            ["task_id"], ["jobs.task_id"], name="fk_results_task_id", ondelete="CASCADE"
        ),
    )


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("creator", sa.Text, nullable=False),
        sa.Column("engine_type", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("process_start", sa.Double, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("only_for", sa.BigInteger),
        sa.PrimaryKeyConstraint("session_id", name="pk_sessions"),
    )


def _create_offline_instances() -> None:
    op.create_table(
        "offline_instances",
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("instance", name="pk_offline_instances"),
    )


def _create_tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("token_id", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("is_admin", sa.Boolean, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("for_users", sa.Text, nullable=False),
        sa.Column("hosts", sa.Text, nullable=False),
        sa.Column("expire_time", sa.BigInteger),
        sa.PrimaryKeyConstraint("token_id", name="pk_tokens"),
        sa.UniqueConstraint("secret_hash", name="uq_tokens_secret_hash"),
    )


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("is_admin", sa.Boolean, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("login_count", sa.BigInteger, nullable=False),
        sa.Column("last_login_time", sa.BigInteger),
        sa.PrimaryKeyConstraint("name", name="pk_users"),
    )


def _create_login_sessions() -> None:
    op.create_table(
        "login_sessions",
        sa.Column("ticket_hash", sa.LargeBinary, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("last_used_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("ticket_hash", name="pk_login_sessions"),
        sa.ForeignKeyConstraint(
            ["user"], ["users.name"], name="fk_login_sessions_user", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_login_sessions_user", "login_sessions", ["user"])
    op.create_index("ix_login_sessions_last_used_time", "login_sessions", ["last_used_time"])
