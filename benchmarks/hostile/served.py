"""The service as it is deployed: tritonserver behind its edge."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from aurum.edge import private as edges
from aurum.server import private as servers
from aurum.settings import Settings
from benchmarks.hostile.send import Address


@contextmanager
def served(settings: Settings) -> Iterator[tuple[Address, int]]:
    """A server and an edge of their own, with limits that nobody reaches; tritonserver's pid."""
    limits = replace(settings, edge_rate=100_000, edge_burst=100_000, edge_connections=1000)
    with (
        tempfile.TemporaryDirectory(prefix="aurum-hostile-") as folder,
        servers.running(settings, Path(folder)) as service,
        edges.running([service.settings], limits) as made,
    ):
        edge = made.edge
        yield Address(edge.url, edge.grpc_url, made.key, made.ca), service.server.pid
