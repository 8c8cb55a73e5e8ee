"""The runner: a process that hosts one engine session and reports what its runs do."""
