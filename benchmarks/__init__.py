"""Benchmarks of the running service, and of what it is measured against."""
