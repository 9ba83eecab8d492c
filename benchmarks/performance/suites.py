"""How much of everything a suite measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """All sizes of a suite; times in seconds, concurrencies as numbers of clients."""

    name: str
    rounds: int  # of everything that is compared
    seconds: int  # of each measurement
    clients: tuple[int, ...]  # of the service and the competitor
    side_clients: tuple[int, ...]  # of what is measured beside them
    batching_clients: tuple[int, ...]
    sweep_protocols: tuple[str, ...]
    sweep: tuple[int, ...]  # concurrencies of perf_analyzer
    sweep_faces: tuple[int, ...]  # the same, for photos of several numbers of faces
    sweep_seconds: float
    locust_seconds: int
    searches: int  # for the rate held at a p95, with the photo of one face
    mixed_searches: int  # the same with mixed photos
    trials: int  # the most rates that one search tries
    soak_seconds: int
    soak_rate: float = 0.0  # mixed photos a second; 0: what is held is measured first


FULL = Suite(
    name="full",
    rounds=4,
    seconds=3,
    clients=(1, 2, 4, 8, 16, 32),
    side_clients=(1, 8, 16),
    batching_clients=(1, 2, 4, 8, 16, 32),
    sweep_protocols=("http", "grpc"),
    sweep=(1, 2, 4, 8, 16, 32),
    sweep_faces=(1, 4, 16),
    sweep_seconds=1.5,
    locust_seconds=10,
    searches=2,
    mixed_searches=1,
    trials=8,
    soak_seconds=600,
)
QUICK = Suite(
    name="quick",
    rounds=3,
    seconds=2,
    clients=(1, 8, 16),
    side_clients=(1, 16),
    batching_clients=(1, 8, 16),
    sweep_protocols=("http", "grpc"),
    sweep=(8,),
    sweep_faces=(),
    sweep_seconds=1.5,
    locust_seconds=5,
    searches=1,
    mixed_searches=0,
    trials=5,
    soak_seconds=30,
)
# Shows that everything works; its figures mean nothing.
SMOKE = Suite(
    name="smoke",
    rounds=1,
    seconds=1,
    clients=(1, 8, 16),
    side_clients=(1,),
    batching_clients=(8,),
    sweep_protocols=("grpc",),
    sweep=(2,),
    sweep_faces=(),
    sweep_seconds=0.6,
    locust_seconds=2,
    searches=1,
    mixed_searches=0,
    trials=1,
    soak_seconds=3,  # a slope needs two samples after the warm-up
    soak_rate=4.0,
)
SUITES = {suite.name: suite for suite in (FULL, QUICK, SMOKE)}
