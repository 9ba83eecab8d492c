"""The service as it is deployed: tritonservers behind their gateway."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from aurum.gateway import keys as gateway_keys
from aurum.server import ephemeral as servers
from aurum.settings import Settings
from benchmarks.common import gateways
from benchmarks.robustness.hostile.send import Address

# CPU seconds that may come on top of AURUM_MAX_PHOTO_SECONDS: the models, tritonserver itself.
MODELS = 2.0


class Served(NamedTuple):
    """Where the service is for two users, the ids of its tritonservers, and their gateway."""

    address: Address
    neighbour: Address
    pids: list[int]
    gateway: gateways.Gateway
    budget: float  # CPU seconds that one input may take


@contextmanager
def served(settings: Settings, count: int = 2) -> Iterator[Served]:
    """So many servers and a gateway of their own, with limits that nobody reaches."""
    limits = replace(
        settings, gateway_rate=100_000, gateway_burst=100_000, gateway_connections=1000
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aurum-hostile-")))
        running = [
            stack.enter_context(servers.running(settings, folder / str(index)))
            for index in range(count)
        ]
        made = stack.enter_context(gateways.running([one.settings for one in running], limits))
        keys = made.key, gateway_keys.add(made.gateway.settings.gateway_keys, "neighbour")
        one, other = (
            Address(made.gateway.url, made.gateway.grpc_url, key, made.ca) for key in keys
        )
        pids = [server.server.pid for server in running]
        yield Served(one, other, pids, made.gateway, settings.max_photo_seconds + MODELS)
