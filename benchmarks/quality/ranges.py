"""Find the gate's ranges on half of the people, and write them to the package's data.

    .venv/bin/python -m benchmarks quality ranges ../shared/datasets/lfw/images

Run it after benchmarks.quality.fit, whose centre it needs. For one part after the other it takes
the loosest bound at which strangers match at most `LIMIT` times the nominal rate, at FAR 1e-3 and
1e-4, in the kinds and severities that the part detects, with the bounds found so far. The rate is
the lower end of Wilson's interval, if at least `FEW` photos are left. `aurum validate gate`
evaluates the ranges on the other half, through the service.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from aurum.evaluation import kinds, lfw
from aurum.evaluation.kinds import FARS
from aurum.evaluation.lfw import halves
from aurum.evaluation.roc import wilson
from aurum.evaluation.strangers import rates
from aurum.models import calibrations
from aurum.quality.parts import PARTS
from aurum.quality.weights import FITTED, save
from aurum.settings import Settings
from benchmarks.quality.source import Local, Source

LIMIT = 1.25
FEW = 5

Range = tuple[float | None, float | None]


class Part(NamedTuple):
    """A quality part, its bounds to try, loosest first, and the kinds that it detects."""

    name: str
    least: bool  # lower bound, otherwise upper bound
    bounds: Sequence[float]
    detects: Sequence[str]


# No part detects motion blur: docs/design/quality.md#the-gate.
PLAN = (
    Part("recognizability", True, (0.5, 0.6, 0.7, 0.72, 0.74, 0.76, 0.78, 0.8, 0.82), ("turned",)),
    Part("resolution", True, (4, 6, 8, 9, 10, 11, 12), ("low resolution",)),
    Part("sharpness", True, (0.2, 0.22, 0.24, 0.26, 0.28, 0.3, 0.32, 0.34, 0.36), ("blurred",)),
    Part("noise", False, (20, 15, 12, 10, 8, 7, 6, 5, 4), ("noisy",)),
    Part("contrast", True, (0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04), ("dark", "in fog")),
    Part("exposure", True, (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5), ("overexposed",)),
    Part("confidence", True, (0.2, 0.3, 0.4, 0.5, 0.6, 0.7), (kinds.NO_FACE,)),
)


class Group(NamedTuple):
    """Faces of one kind and severity."""

    parts: NDArray[np.float32]  # [N,16]
    vectors: NDArray[np.float32]  # [N,512]
    owners: list[str]  # [N]


def held(group: Group, ranges: Mapping[str, Range], thresholds: Sequence[float]) -> bool:
    """Return whether the faces within the ranges match strangers no more often than allowed."""
    within = np.ones(len(group.owners), bool)
    for name, (least, most) in ranges.items():
        values = group.parts[:, PARTS.index(name)]
        within &= (values >= (-np.inf if least is None else least)) & (
            values <= (np.inf if most is None else most)
        )
    if np.count_nonzero(within) < FEW:
        return True
    owners = np.array(group.owners)[within]
    found = rates(group.vectors[within], owners, thresholds)
    # One match among few pairs proves nothing.
    return all(
        wilson(accepted, found.pairs)[0] <= LIMIT * far
        for accepted, far in zip(found.accepted, FARS, strict=True)
    )


def choose(
    groups: Mapping[tuple[str, str], Group], thresholds: Sequence[float]
) -> dict[str, Range]:
    """Return the loosest ranges by part; if no bound suffices, the strictest that was tried."""
    ranges: dict[str, Range] = {}
    for part in PLAN:
        detected = [group for (kind, _), group in groups.items() if kind in part.detects]
        for bound in part.bounds:
            ranges[part.name] = (bound, None) if part.least else (None, bound)
            if all(held(group, ranges, thresholds) for group in detected):
                break
    return ranges


def measure(
    folder: Path, names: Sequence[str], usual: Source, unsure: Source
) -> dict[tuple[str, str], Group]:
    """Measure the largest face of the photos in all kinds; every detection in faceless pictures."""
    groups = {}
    with ThreadPoolExecutor(2) as pool:
        for kind, severity in track([*kinds.every()], console=Console(stderr=True)):
            source, most = (unsure, None) if kind == kinds.NO_FACE else (usual, 1)
            items = kinds.items(folder, names, kind, severity)
            answers = pool.map(source, pool.map(lambda item: item.load(), items))
            found = [
                (parts, vector, item.owner)
                for item, faces in zip(items, answers, strict=True)
                for parts, vector in zip(faces.parts[:most], faces.embeddings[:most], strict=True)
            ]
            if found:  # in severely degraded photos no face is found
                parts, vectors, owners = zip(*found, strict=True)
                groups[kind, severity] = Group(np.array(parts), np.array(vectors), list(owners))
    return groups


def main() -> None:
    """Measure the people for fitting, and write the ranges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="folder of person/photo.jpg")
    folder = parser.parse_args().images
    cv2.setNumThreads(1)
    names, _ = halves(lfw.images(folder))
    settings = Settings.from_env()
    usual = Local(settings)
    unsure = Local(settings, min_confidence=kinds.UNSURE)
    if usual.embedder != FITTED.embedder or not usual.calibration:
        raise SystemExit(f"fit the weights of {usual.embedder} first, and calibrate it")
    by_far = dict(zip(map(float, calibrations.FARS), usual.calibration.thresholds, strict=True))
    thresholds = [by_far[far] for far in FARS]
    ranges = choose(measure(folder, lfw.firsts(names), usual, unsure), thresholds)
    for name, (least, most) in ranges.items():
        print(f"{name}: {'' if least is None else least} .. {'' if most is None else most}")
    save(FITTED._replace(gate=ranges))
