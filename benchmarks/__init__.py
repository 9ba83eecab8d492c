"""Benchmarks of the running service, and of what it is measured against."""

import aurum  # noqa: F401 - switches telemetry off before any benchmark imports onnxruntime
