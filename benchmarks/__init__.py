"""Benchmarks of the running service, its baselines and its competitor."""

import aurum  # noqa: F401 - disables onnxruntime's telemetry before any benchmark imports it
