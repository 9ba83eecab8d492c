"""Triton's own counters: the work of its models between two readings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from benchmarks.common.rows import ModelStats

Counters = Mapping[str, Mapping[str, Any]]


def read(url: str) -> Counters:
    """Read the statistics of all models, by name, from the server at `url` (HTTP)."""
    answer = httpx.get(f"{url}/v2/models/stats", timeout=10, trust_env=False).raise_for_status()
    return {item["name"]: item for item in answer.json()["model_stats"]}


def config(url: str, model: str) -> Mapping[str, Any]:
    """Read a model's configuration from the server at `url` (HTTP)."""
    answer = httpx.get(f"{url}/v2/models/{model}/config", timeout=10, trust_env=False)
    result: dict[str, Any] = answer.raise_for_status().json()
    return result


def workers(config: Mapping[str, Any]) -> int:
    """Return how many cores a model may use at once: instances times threads."""
    instances = sum(group.get("count", 1) for group in config.get("instance_group", [])) or 1
    threads = config.get("parameters", {}).get("intra_op_thread_count", {})
    return int(instances) * max(1, int(threads.get("string_value", 1)))


def between(before: Counters, after: Counters, index: int, clients: int) -> list[ModelStats]:
    """Return the differences between two readings, for each model that did any work."""
    rows = []
    for name, late in after.items():
        early = before.get(name, {})
        inferences = _change(early, late, "inference_count")
        if not inferences:
            continue
        times = []
        for part in ("queue", "compute_input", "compute_infer", "compute_output"):
            count = _change(early, late, "inference_stats", part, "count")
            spent = _change(early, late, "inference_stats", part, "ns")
            times.append(spent / count / 1000 if count else 0.0)
        rows.append(
            ModelStats(
                index,
                clients,
                name,
                _change(early, late, "inference_stats", "success", "count"),
                inferences,
                _change(early, late, "execution_count"),
                *times,
            )
        )
    return rows


def _change(early: Mapping[str, Any], late: Mapping[str, Any], *path: str) -> int:
    values = []
    for tree in (early, late):
        value: Any = tree
        for name in path:
            value = value.get(name, {})
        values.append(value or 0)
    return int(values[1]) - int(values[0])
