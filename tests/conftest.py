"""For all tests: telemetry is off before any of them imports onnxruntime."""

import aurum  # noqa: F401
