"""What releases wrote into the tables that they had, as their databases hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

SECOND = 1_000_000  # times are microseconds since the epoch
ENDED: Row = {
    "task_id": 7,
    "instance": "here:9104",
    "status": "Failed",
    "paused": False,
    "progress": 1.0,
    "submit_user": "robot",
    "execute_user": "alice",
    "creator": "IDE",
    "engine_type": "duckdb",
    "run_type": "sql",
    "code": "SELECT 'ü'",
    "prepared_code": "SELECT 'ü' LIMIT 5000",
    "params": '{"variable":{"a":"1"},"startup":{},"runtime":{},"special":{}}',
    "labels": '{"engineType":"duckdb"}',
    "source": '{"scriptPath":"a.sql"}',
    "priority": -7,
    "request_id": "r",
    "request_digest": b"digest",
    "session_id": "s",
    "create_time": 1 * SECOND,
    "update_time": 4 * SECOND,
    "start_time": 3 * SECOND,
    "end_time": 4 * SECOND,
    "error_code": 40300,
    "error_message": "no",
    "result_count": 1,
    "attempt": 2,
    "progress_info": '[["1",1,0,0,1]]',
    "retry_time": 2 * SECOND,
    "pause_time": None,
    "paused_for": SECOND // 2,
    "schedule_time": 2 * SECOND,
    "session_reused": True,
    "has_files": True,
    "stored_bytes": 17,
    "removed_time": None,
}
WAITS: Row = {
    **ENDED,
    "task_id": 8,
    "status": "Scheduled",
    "paused": True,
    "progress": 0.0,
    "prepared_code": None,
    "request_id": None,
    "request_digest": None,
    "session_id": None,
    "start_time": None,
    "end_time": None,
    "error_code": None,
    "error_message": None,
    "result_count": 0,
    "attempt": 1,
    "progress_info": "[]",
    "retry_time": None,
    "pause_time": 3 * SECOND,
    "session_reused": None,
    "stored_bytes": None,
}

# Rows of every table that a revision made, by revision.
ROWS: Mapping[str, Mapping[str, Sequence[Row]]] = {
    "0001": {
        "jobs": [ENDED, WAITS],
        "results": [
            {
                "task_id": 7,
                "result_index": 0,
                "type": "table",
                "media_type": "application/vnd.apache.parquet",
                "file_name": "1-0.parquet",
                "row_count": 1,
                "size_bytes": 9,
                "columns": '[["x","string",""]]',
                "statement": 1,
            }
        ],
        "sessions": [
            {
                "session_id": "s",
                "user": "alice",
                "creator": "IDE",
                "engine_type": "duckdb",
                "address": "unix:/s",
                "pid": 4711,
                "process_start": 12.5,
                "create_time": SECOND,
                "options": '{"duckdb.threads":"1"}',
                "only_for": 7,
            }
        ],
        "offline_instances": [{"instance": "here:9104", "since": SECOND}],
        "tokens": [
            {
                "token_id": "t",
                "user": "robot",
                "is_admin": True,
                "secret_hash": b"secret",
                "create_time": SECOND,
                "for_users": '["alice"]',
                "hosts": '["10.0.0.0/8"]',
                "expire_time": 9 * SECOND,
            }
        ],
        "users": [
            {
                "name": "alice",
                "password_hash": "hash",
                "is_admin": False,
                "create_time": SECOND,
                "disabled": False,
                "login_count": 3,
                "last_login_time": 2 * SECOND,
            }
        ],
        "login_sessions": [
            {
                "ticket_hash": b"ticket",
                "user": "alice",
                "create_time": SECOND,
                "last_used_time": 2 * SECOND,
            }
        ],
    },
    "0002": {
        "instances": [
            {
                "name": "here:9104",
                "address": "127.0.0.1:9104",
                "home": "machine:/data",
                "fence": 3,
                "lease_expire_time": None,
            }
        ],
    },
    "0003": {
        "archives": [
            {
                "task_id": 7,
                "key": "0/7-a1b2c3d4",
                "files": '[["log",9,"1970-01-01T00:00:04+00:00"]]',
            }
        ],
    },
}
