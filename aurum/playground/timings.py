"""Break down one request's time by Triton's counters, as a Server-Timing header.

Triton (2.51) counts by model, not by request, and only finished requests. So the counters are read
before and after, and reported only if no pipeline answered another request in between. This can't
detect a request that ran the whole time, or direct calls of the models.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx

from aurum import contract
from aurum.contract import PIPELINES

# The models that the step calls, in order, as far as they are served.
MODELS = (contract.DETECTION, contract.LANDMARKS, contract.EMBEDDING, contract.LIVENESS)
# Triton counts a request just after it has sent the answer.
_TRIES = 5
_PAUSE = 0.004  # seconds

Counters = Mapping[str, tuple[int, int]]
"""By model: number of answered requests, and the nanoseconds they took since their arrival."""


async def read(client: httpx.AsyncClient) -> Counters:
    """Read the counters; empty if they are unavailable."""
    try:
        answer = await client.get("/v2/models/stats")
        models = answer.raise_for_status().json()["model_stats"]
    except (httpx.HTTPError, ValueError, KeyError):
        return {}
    counted = {model["name"]: model["inference_stats"]["success"] for model in models}
    return {name: (int(item["count"]), int(item["ns"])) for name, item in counted.items()}


async def read_after(client: httpx.AsyncClient, before: Counters, pipeline: str) -> Counters:
    """Read the counters once `pipeline` has counted another request since `before`."""
    after = await read(client)
    for _ in range(_TRIES):
        if not before or _more(before, after, pipeline)[0]:
            break
        await asyncio.sleep(_PAUSE)
        after = await read(client)
    return after


def header(received: float, spent: float, pipeline: str, before: Counters, after: Counters) -> str:
    """Return the value of Server-Timing in milliseconds; models only if the counts are clear.

    Args:
        received: seconds until the request's body had arrived.
        spent: seconds from the request to Triton to its complete answer.
        pipeline: the requested pipeline.
        before: Triton's counters before the request.
        after: Triton's counters after it.
    """
    metrics = [("receive", received * 1e3, ""), ("triton", spent * 1e3, "")]
    answered = {name: _more(before, after, name) for name in after}
    if sum(answered.get(name, (0, 0))[0] for name in PIPELINES) == 1 and answered[pipeline][0]:
        whole = answered[pipeline][1] / 1e6
        models = {name: answered[name] for name in MODELS if name in answered}
        inner = sum(nanoseconds for _, nanoseconds in models.values()) / 1e6
        metrics += [
            (name, nanoseconds / 1e6, f"{count}") for name, (count, nanoseconds) in models.items()
        ]
        # Calls of the embedder for a crowd overlap, so that their sum can exceed the whole.
        if inner <= whole:
            metrics.append(("step", whole - inner, ""))
    return ", ".join(
        f"{name};dur={value:.2f}" + (f';desc="{note}"' if note else "")
        for name, value, note in metrics
    )


def _more(before: Counters, after: Counters, name: str) -> tuple[int, int]:
    """Return the differences in requests and nanoseconds."""
    early, late = before.get(name, (0, 0)), after.get(name, (0, 0))
    return late[0] - early[0], late[1] - early[1]
