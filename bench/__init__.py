"""Benchmarks beside the real references: `make bench`."""
