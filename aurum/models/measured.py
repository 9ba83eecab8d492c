"""What was measured of each profile where the project was developed: ``measured.json``.

`python -m benchmarks profiles` writes that file. Figures of other weights than the manifest's don't
count.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aurum.models.manifest import Profile

FILE = Path(__file__).with_name("measured.json")
NOT_MEASURED = "-"
HEADS = ("LFW %", "TAR %", "ms", "MB")


@dataclass(frozen=True)
class Accuracy:
    """Verification through the running service, by LFW's protocol; shares are 0..1."""

    accuracy: float
    standard_error: float
    tar: float  # at a FAR of 1e-3
    pairs: int
    pairs_file: str
    date: str


@dataclass(frozen=True)
class Cost:
    """Time of a photo with one face from a lone client, and the server's memory after that."""

    milliseconds: float  # median
    megabytes: float  # PSS of all processes, in 10^6 bytes
    photos: int
    cpu: str
    cores: int
    date: str


@dataclass(frozen=True)
class Measured:
    """The figures of one profile; None: not measured."""

    models: tuple[str, ...]  # ids of the detector and the embedder
    accuracy: Accuracy | None = None
    cost: Cost | None = None


def load(path: Path = FILE) -> dict[str, Measured]:
    """Read the figures by the profile's name."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: Measured(
            tuple(entry["models"]),
            Accuracy(**entry["accuracy"]) if entry["accuracy"] else None,
            Cost(**entry["cost"]) if entry["cost"] else None,
        )
        for name, entry in content.items()
    }


def save(figures: Mapping[str, Measured], path: Path = FILE) -> None:
    """Write the figures; equal figures give equal bytes."""
    content = {name: asdict(figures[name]) for name in sorted(figures)}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def of(profile: Profile, figures: Mapping[str, Measured]) -> Measured:
    """Return the profile's figures; those of other weights don't count."""
    ids = tuple(str(model.id) for model in profile.models)
    known = figures.get(profile.name)
    return known if known and known.models == ids else Measured(ids)


def cells(found: Measured) -> tuple[str, str, str, str]:
    """Return the figures for a table with `HEADS`."""
    accuracy, cost = found.accuracy, found.cost
    return (
        f"{accuracy.accuracy:.2%}".rstrip("%") if accuracy else NOT_MEASURED,
        f"{accuracy.tar:.2%}".rstrip("%") if accuracy else NOT_MEASURED,
        f"{cost.milliseconds:.1f}" if cost else NOT_MEASURED,
        f"{cost.megabytes:.0f}" if cost else NOT_MEASURED,
    )
