"""Measure how much the split of the people matters: evaluate each half's model on both halves.

    .venv/bin/python -m benchmarks quality cross ../shared/datasets/lfw/images --cache /tmp/quality

On its own half a model shows the best that its form can do, on the other half its real value. The
form of the model was chosen only on the fitted half. It writes no files.
"""

from __future__ import annotations

import cv2
import numpy as np

from aurum.evaluation import lfw
from aurum.evaluation.lfw import halves
from aurum.quality.parts import PARTS, total
from aurum.settings import Settings
from benchmarks.quality.evaluate import ratio
from benchmarks.quality.measure import Table, measure, options
from benchmarks.quality.model import centre, fit, recognized
from benchmarks.quality.pairs import failures, pairs, similarities
from benchmarks.quality.samples import VERSIONS
from benchmarks.quality.source import Local


def compare(tables: dict[str, Table]) -> str:
    """Return a Markdown table for pairs with one degraded photo.

    Ratios are FNMR with 10 % rejected to FNMR with none.
    """
    centres = {name: centre(table) for name, table in tables.items()}
    models = {
        name: fit(recognized(table, centres[name]), len(PARTS)) for name, table in tables.items()
    }
    heads = [f"fitted on {name}" for name in models]
    lines = [
        "| judged on | FNMR | of failures, untouched fail too | detection score | "
        + " | ".join(heads)
        + " |",
        "| --- | --- | --- | --- |" + " --- |" * len(heads),
    ]
    for name, table in tables.items():
        chosen = pairs(table, both=False)
        failed, threshold = failures(table, chosen)
        untouched = similarities(table, chosen.genuine // VERSIONS * VERSIONS) < threshold
        score = table.parts[:, PARTS.index("confidence")]
        by = [score]
        by += [total(recognized(table, centres[own]).parts, model) for own, model in models.items()]
        ratios = [ratio(failed, values[chosen.genuine].min(axis=1)) for values in by]
        hopeless = float(np.mean(untouched[failed])) if failed.any() else 0.0
        cells = " | ".join(f"{value:.3f}" for value in ratios)
        lines.append(f"| {name} | {failed.mean():.2%} | {hopeless:.1%} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Measure both halves, and print the table."""
    arguments = options(__doc__).parse_args()
    cv2.setNumThreads(1)
    source = Local(Settings.from_env())
    names = dict(zip(("half A", "half B"), halves(lfw.images(arguments.images)), strict=True))
    print(
        compare(
            {
                half: measure(arguments.images, photos, source, arguments.cache)
                for half, photos in names.items()
            }
        )
    )
