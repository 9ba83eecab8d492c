"""Measure what each learned part adds to the total, by cross-validation on the fitted people.

    .venv/bin/python -m benchmarks quality choose ../shared/datasets/lfw/images --cache /tmp/quality

The people of the evaluation are not used, so the result may guide choices. It writes no files.
"""

from __future__ import annotations

import cv2

from aurum.evaluation import lfw
from aurum.evaluation.lfw import halves
from aurum.quality.parts import COMMON_PARTS, PARTS
from aurum.settings import Settings
from benchmarks.quality.evaluate import ratio
from benchmarks.quality.measure import Table, measure, options
from benchmarks.quality.model import cross_validated
from benchmarks.quality.pairs import failures, pairs
from benchmarks.quality.source import Local

SEEDS = 2
VARIANTS = {
    "all parts": (),
    "without `recognizability`": ("recognizability",),
    "without `norm`": ("norm",),
    "without both": PARTS[COMMON_PARTS:],
}


def compare(table: Table) -> str:
    """Return a Markdown table of ratios: FNMR with 10 % rejected to FNMR with none."""
    chosen = pairs(table, both=False)
    failed, _ = failures(table, chosen)
    lines = ["| total of | 10 % / 0, by split |", "| --- | --- |"]
    for name, without in VARIANTS.items():
        totals = (cross_validated(table, without, seed) for seed in range(SEEDS))
        ratios = (ratio(failed, values[chosen.genuine].min(axis=1)) for values in totals)
        lines.append(f"| {name} | {', '.join(f'{value:.3f}' for value in ratios)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure the people for fitting, and print the table."""
    arguments = options(__doc__).parse_args()
    cv2.setNumThreads(1)
    names, _ = halves(lfw.images(arguments.images))
    source = Local(Settings.from_env())
    print(compare(measure(arguments.images, names, source, arguments.cache)))
