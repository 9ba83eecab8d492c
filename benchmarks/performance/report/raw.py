"""Load the raw figures of one run of the suite from its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aurum.errors import OperatorError
from benchmarks.common import rows
from benchmarks.common.rows import ModelStats, Run, Sample, Sweep, Users


class RawError(OperatorError, ValueError):
    """The folder has no raw figures."""


@dataclass(frozen=True)
class Raw:
    """All raw figures; a part that was not measured has no rows."""

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
    sweep: list[Sweep]


def load(folder: Path) -> Raw:
    """Read the raw figures in `folder`. Raises RawError if there are none."""
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
        sweep=rows.read(folder / "perf_analyzer.csv", Sweep),
        **runs,
    )
