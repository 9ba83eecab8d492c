"""The raw figures of one run of the suite, as they lie in its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aurum.errors import OperatorError
from benchmarks.common import rows
from benchmarks.common.rows import ModelStats, Run, Sample, Users
from benchmarks.load import perf_analyzer
from benchmarks.load.perf_analyzer import Result


class RawError(OperatorError, ValueError):
    """The folder has no raw figures."""


@dataclass(frozen=True)
class Raw:
    """All of them; a part that wasn't measured has no rows."""

    machine: dict[str, Any]
    suite: dict[str, Any]
    parts: dict[str, Any]  # by name: seconds and notes
    compare: list[Run]
    models: list[Run]
    faces: list[Run]
    gpu: list[Run]
    batching: list[ModelStats]
    locust: list[Users]
    soak: list[Sample]
    soak_load: list[Run]
    sweep: dict[tuple[str, str, int], Result]  # by workload, protocol and clients


def load(folder: Path) -> Raw:
    """Read the raw figures in `folder`. Raises RawError where there are none."""
    try:
        machine, run = (
            json.loads((folder / name).read_text()) for name in ("machine.json", "run.json")
        )
    except OSError as error:
        raise RawError(f"{folder} has no raw figures of a benchmark: {error}") from None
    runs = {
        name: rows.read(folder / f"{name}.csv", Run)
        for name in ("compare", "models", "faces", "gpu", "soak_load")
    }
    return Raw(
        machine=machine,
        suite=run["suite"],
        parts=run["parts"],
        batching=rows.read(folder / "batching.csv", ModelStats),
        locust=rows.read(folder / "locust.csv", Users),
        soak=rows.read(folder / "soak.csv", Sample),
        sweep=_sweep(folder / "perf_analyzer"),
        **runs,
    )


def _sweep(folder: Path) -> dict[tuple[str, str, int], Result]:
    results = {}
    for path in sorted(folder.glob("*.csv")):
        workload, protocol, clients = path.stem.rsplit("-", 2)
        log = path.with_suffix(".txt").read_text()
        result = perf_analyzer.parse(path.read_text(), log)
        results[workload, protocol, int(clients)] = result
    return dict(sorted(results.items()))
