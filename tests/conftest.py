"""For all tests: no telemetry, and no time limits of Hypothesis."""

import hypothesis

import aurum  # noqa: F401 - before any test imports onnxruntime: turns its telemetry off

# On a busy machine an example may take any time.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")
