"""What all load tools share: the result of a run, and the end of a log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


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


def last_lines(log: Path, lines: int = 8) -> str:
    """Return the last lines of a log that are not empty, and the log's path."""
    text = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return "\n".join(line[:600] for line in text[-lines:]) + f"\n(log: {log})"
