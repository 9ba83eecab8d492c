"""The service as it is deployed: tritonservers behind their edge."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from aurum.edge import keys as edge_keys
from aurum.edge import private as edges
from aurum.server import private as servers
from aurum.settings import Settings
from benchmarks.hostile.send import Address

# CPU seconds that may come on top of AURUM_MAX_PHOTO_SECONDS: the models, tritonserver itself.
MODELS = 2.0


class Served(NamedTuple):
    """Where the service is for two users, the ids of its tritonservers, and their gateway."""

    address: Address
    neighbour: Address
    pids: list[int]
    edge: edges.Edge
    budget: float  # CPU seconds that one input may take


@contextmanager
def served(settings: Settings, count: int = 2) -> Iterator[Served]:
    """So many servers and an edge of their own, with limits that nobody reaches."""
    limits = replace(settings, edge_rate=100_000, edge_burst=100_000, edge_connections=1000)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aurum-hostile-")))
        running = [
            stack.enter_context(servers.running(settings, folder / str(index)))
            for index in range(count)
        ]
        made = stack.enter_context(edges.running([one.settings for one in running], limits))
        keys = made.key, edge_keys.add(made.edge.settings.edge_keys, "neighbour")
        one, other = (Address(made.edge.url, made.edge.grpc_url, key, made.ca) for key in keys)
        pids = [server.server.pid for server in running]
        yield Served(one, other, pids, made.edge, settings.max_photo_seconds + MODELS)
