"""What the quality's formulas learnt from photos: a mean face, and the total's weights.

`benchmarks/quality` writes the file that is read here; docs/quality.md says how.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).resolve().parent.parent / "assets" / "quality.json"


class Model(NamedTuple):
    """A logistic model of n standardized features and their squares."""

    mean: list[float]  # [n]
    spread: list[float]  # [n] standard deviations
    weights: list[float]  # [2n]: of the features, then of their squares
    bias: float


class Learnt(NamedTuple):
    """The file's content."""

    mean_face: str  # base64 of uint8 [24,24]: the mean aligned face at a quarter of the crop's size
    embedder: str  # id of the one whose norms `with_norm` knows
    with_norm: Model  # of all parts
    without_norm: Model  # of all but the last


def load(path: Path = FILE) -> Learnt:
    """Read the file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for name in ("with_norm", "without_norm"):
        content[name] = Model(**content[name])
    return Learnt(**content)


def save(learnt: Learnt, path: Path = FILE) -> None:
    """Write the file, so that the same content makes the same bytes."""
    content = learnt._asdict()
    for name in ("with_norm", "without_norm"):
        content[name] = content[name]._asdict()
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


LEARNT = load()
