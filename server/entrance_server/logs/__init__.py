"""Job logs: append, index, read from a line on, follow, split by level."""
