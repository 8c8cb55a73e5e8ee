"""What a job is and may do. Pure: imports nothing of ours, does no I/O."""
