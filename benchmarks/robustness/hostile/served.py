"""Run the service as deployed: tritonservers behind a gateway."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from aurum.gateway import keys as gateway_keys
from aurum.server import ephemeral as servers
from aurum.settings import Settings
from benchmarks.common import gateways
from benchmarks.robustness.hostile.send import Address

# CPU seconds allowed on top of AURUM_MAX_PHOTO_SECONDS, for the models and tritonserver itself.
MODELS = 2.0


class Served(NamedTuple):
    """The service's address for two users, its tritonservers' process ids, and its gateway."""

    address: Address
    neighbour: Address
    pids: list[int]
    gateway: gateways.Gateway
    budget: float  # CPU seconds that one input may take


@contextmanager
def served(settings: Settings, count: int = 2) -> Iterator[Served]:
    """Run `count` servers behind a gateway whose limits are too high to be reached."""
    limits = gateways.unlimited(settings)
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
