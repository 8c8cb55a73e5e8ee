"""Runners and the sessions in them: start, find again, run code, end."""
