"""Parameters of the quality measures that were fitted to photos, and the file that holds them.

They are a mean face, the mean embedding of unrecognizable faces, the weights of two models and the
gate's ranges. `benchmarks/quality` fits them and writes the file; docs/design/quality.md describes
how.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MODELS = ("of_embedder", "of_any")
FILE = Path(__file__).with_name("weights.json")


class Model(NamedTuple):
    """A logistic model of n standardized features and their squares."""

    mean: NDArray[np.float64]  # [n]
    spread: NDArray[np.float64]  # [n] standard deviations
    weights: NDArray[np.float64]  # [2n]: for the features, then for their squares
    bias: float


class FittedWeights(NamedTuple):
    """The content of the weights file."""

    mean_face: str  # base64 of uint8 [24,24]: the mean aligned face at a quarter of the crop's size
    embedder: str  # id of the embedder that `centre`, `of_embedder` and `gate` are valid for
    centre: str  # base64 of little-endian float16 [512]: mean embedding of unrecognizable faces
    of_embedder: Model  # uses all parts, for `embedder` only
    of_any: Model  # uses the first COMMON_PARTS parts, for any embedder
    # By part: the lowest and the highest value of a face that is fit for recognition.
    gate: dict[str, tuple[float | None, float | None]]


def load(path: Path = FILE) -> FittedWeights:
    """Read a weights file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for name in MODELS:
        bias = content[name].pop("bias")
        content[name] = Model(
            **{key: np.array(row) for key, row in content[name].items()}, bias=bias
        )
    content["gate"] = {name: tuple(bounds) for name, bounds in content["gate"].items()}
    return FittedWeights(**content)


def save(weights: FittedWeights, path: Path = FILE) -> None:
    """Write a weights file; equal content gives equal bytes."""
    content = weights._asdict()
    for name in MODELS:
        values = content[name]._asdict().items()
        content[name] = {field: np.asarray(value).tolist() for field, value in values}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


FITTED = load()
