"""The suites: how much each one measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """Parameters of a suite; times in seconds, concurrency in clients."""

    name: str
    rounds: int  # of every comparison
    seconds: int  # of each measurement
    clients: tuple[int, ...]  # for the service and the competitor
    side_clients: tuple[int, ...]  # for everything else
    batching_clients: tuple[int, ...]
    sweep_protocols: tuple[str, ...]
    sweep: tuple[int, ...]  # perf_analyzer's concurrency
    sweep_faces: tuple[int, ...]  # the same, for photos with different numbers of faces
    sweep_seconds: float
    locust_seconds: int
    searches: int  # for the rate held at a p95, with the photo of one face
    mixed_searches: int  # the same with mixed photos
    trials: int  # largest number of rates in one search
    soak_seconds: int
    soak_rate: float = 0.0  # mixed photos per second; 0: measure the rate held first


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
# Only checks that everything works; its figures are meaningless.
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
