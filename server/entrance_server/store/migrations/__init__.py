"""Alembic environment of the store; `store/migration.py` runs it."""
