"""The result that all load tools share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Load:
    """Result of one run of a load tool; latencies in milliseconds, NaN without answers.

    Locust rounds latencies: to 1 ms below 100 ms, to 10 ms below 1 s.
    """

    requests: int
    failures: int  # of the requests
    rate: float  # answers per second, including failures
    p50: float
    p95: float
    p99: float
    reasons: Mapping[str, int] = field(default_factory=dict)  # of the failures
