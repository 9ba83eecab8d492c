"""Where the time of one request went, by Triton's own counters, as a Server-Timing header.

Triton (2.51) counts by model, not by request, and only what is finished. So the counters are read
before and after, and told only where no pipeline answered anybody else in between. Not seen are a
request that was under way all the while, and direct calls of the models.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx

from aurum import contract
from aurum.contract import PIPELINES

# What a step calls, in the order in which it does.
MODELS = (contract.DETECTION, contract.LANDMARKS, contract.EMBEDDING)
# Triton counts a request just after its answer has left.
_TRIES = 5
_PAUSE = 0.004  # seconds

Counters = Mapping[str, tuple[int, int]]
"""Answered requests and the nanoseconds they took from their arrival, by model."""


async def read(client: httpx.AsyncClient) -> Counters:
    """The counters so far; empty where they can't be had."""
    try:
        answer = await client.get("/v2/models/stats")
        models = answer.raise_for_status().json()["model_stats"]
    except (httpx.HTTPError, ValueError, KeyError):
        return {}
    counted = {model["name"]: model["inference_stats"]["success"] for model in models}
    return {name: (int(item["count"]), int(item["ns"])) for name, item in counted.items()}


async def read_after(client: httpx.AsyncClient, before: Counters, pipeline: str) -> Counters:
    """The counters once `pipeline` has counted a request more than `before`."""
    after = await read(client)
    for _ in range(_TRIES):
        if not before or _more(before, after, pipeline)[0]:
            break
        await asyncio.sleep(_PAUSE)
        after = await read(client)
    return after


def header(received: float, spent: float, pipeline: str, before: Counters, after: Counters) -> str:
    """The value of Server-Timing: all in milliseconds, steps only where they are this request's.

    Args:
        received: seconds that the request's body took to arrive.
        spent: seconds from asking Triton to its whole answer.
        pipeline: the one that was asked.
        before: Triton's counters before it was asked.
        after: the same afterwards.
    """
    metrics = [("receive", received * 1e3, ""), ("triton", spent * 1e3, "")]
    answered = {name: _more(before, after, name) for name in after}
    if sum(answered.get(name, (0, 0))[0] for name in PIPELINES) == 1 and answered[pipeline][0]:
        whole = answered[pipeline][1] / 1e6
        models = {name: answered.get(name, (0, 0)) for name in MODELS}
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
    """Requests and nanoseconds that came in addition."""
    early, late = before.get(name, (0, 0)), after.get(name, (0, 0))
    return late[0] - early[0], late[1] - early[1]
