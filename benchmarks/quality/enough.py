"""How many photos does a calibration need? Calibrate on random parts of LFW, check on all of it.

    .venv/bin/python -m benchmarks quality enough ../shared/datasets/lfw/images --cache CACHE

For each number of people and photos, random parts of LFW give thresholds. The table has the false
accept rates that these thresholds have on all of LFW, as multiples of the nominal ones: the median
part's, and the range of nine tenths of the parts. docs/reports/accuracy.md#your-own-photos draws
the conclusion, on which the least numbers in aurum/evaluation/calibration.py rest.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aurum.evaluation import calibration, lfw, verification
from aurum.evaluation.calibration import FARS
from aurum.evaluation.roc import threshold_at_far
from aurum.evaluation.target import serving
from aurum.settings import Settings

PARTS = 40  # random parts for each row
# People, and photos of each.
SIZES = ((450, 1), (225, 2), (150, 3), (100, 5), (60, 7))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, help="LFW's folder of people's folders")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the answers")
    given = parser.parse_args()
    with serving([], Settings.from_env()) as target:
        found = verification.embed(target, given.images, lfw.images(given.images), given.cache)
    vectors = np.stack(list(found.vectors.values()))
    people = np.unique([lfw.person(name) for name in found.vectors], return_inverse=True)[1]
    every = np.sort(calibration.all_pairs(vectors, people).impostors)
    print(f"| people | photos of each | {' | '.join(f'FAR {far:g}' for far in FARS)} |")
    print("| --- " * (2 + len(FARS)) + "|")
    for count, photos in SIZES:
        rates = _rates(vectors, people, every, count, photos)
        cells = [
            f"{middle:.2f} ({low:.2f} to {high:.2f})"
            for low, middle, high in np.quantile(rates / FARS, [0.05, 0.5, 0.95], axis=0).T
        ]
        print(f"| {count} | {photos} | {' | '.join(cells)} |")


def _rates(
    vectors: NDArray[np.float32],
    people: NDArray[np.intp],
    every: NDArray[np.float32],
    count: int,
    photos: int,
) -> NDArray[np.float64]:
    """Return the FARs on `every` impostor (sorted) of the thresholds of each random part."""
    random = np.random.default_rng([lfw.SEED, count, photos])
    able = np.flatnonzero(np.bincount(people) >= photos)
    rates = []
    for _ in range(PARTS):
        chosen = random.choice(able, count, replace=False)
        part = np.concatenate(
            [random.choice(np.flatnonzero(people == one), photos, replace=False) for one in chosen]
        )
        impostors = calibration.all_pairs(vectors[part], people[part]).impostors
        limits = [threshold_at_far(impostors, far)[0] for far in FARS]
        rates.append(1 - np.searchsorted(every, limits) / len(every))
    return np.array(rates)
