"""Triton's own counters: what its models did between two moments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from benchmarks.common.rows import ModelStats

Counters = Mapping[str, Mapping[str, Any]]


def read(url: str) -> Counters:
    """The statistics of every model so far, by name, from the server at `url` (HTTP)."""
    answer = httpx.get(f"{url}/v2/models/stats", timeout=10, trust_env=False).raise_for_status()
    return {item["name"]: item for item in answer.json()["model_stats"]}


def config(url: str, model: str) -> Mapping[str, Any]:
    """The configuration that the server at `url` (HTTP) runs a model with."""
    answer = httpx.get(f"{url}/v2/models/{model}/config", timeout=10, trust_env=False)
    result: dict[str, Any] = answer.raise_for_status().json()
    return result


def workers(config: Mapping[str, Any]) -> int:
    """Cores that a model may use at once: its instances, each with its threads."""
    instances = sum(group.get("count", 1) for group in config.get("instance_group", [])) or 1
    threads = config.get("parameters", {}).get("intra_op_thread_count", {})
    return int(instances) * max(1, int(threads.get("string_value", 1)))


def between(before: Counters, after: Counters, index: int, clients: int) -> list[ModelStats]:
    """What happened between two readings, for each model that did something."""
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
