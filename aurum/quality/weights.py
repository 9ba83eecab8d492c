"""What the quality's formulas learnt from photos: a mean face, unrecognizable faces, and weights.

`benchmarks/quality` writes the file that is read here; docs/design/quality.md says how.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

MODELS = ("of_embedder", "of_any")
FILE = Path(__file__).with_name("weights.json")


class Model(NamedTuple):
    """A logistic model of n standardized features and their squares."""

    mean: list[float]  # [n]
    spread: list[float]  # [n] standard deviations
    weights: list[float]  # [2n]: of the features, then of their squares
    bias: float


class Learnt(NamedTuple):
    """The file's content."""

    mean_face: str  # base64 of uint8 [24,24]: the mean aligned face at a quarter of the crop's size
    embedder: str  # id of the one that `centre` and `of_embedder` are of
    centre: str  # base64 of little-endian float16 [512]: the mean of unrecognizable faces
    of_embedder: Model  # of all parts
    of_any: Model  # of those that are of any embedder
    # By part, the least and the most that a face of that embedder may have to be recognized.
    gate: dict[str, tuple[float | None, float | None]]


def load(path: Path = FILE) -> Learnt:
    """Read the file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for name in MODELS:
        content[name] = Model(**content[name])
    content["gate"] = {name: tuple(bounds) for name, bounds in content["gate"].items()}
    return Learnt(**content)


def save(learnt: Learnt, path: Path = FILE) -> None:
    """Write the file, so that the same content makes the same bytes."""
    content = learnt._asdict()
    for name in MODELS:
        content[name] = content[name]._asdict()
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


LEARNT = load()
