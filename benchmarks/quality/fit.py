"""Fit the total quality's weights on half of the people, and write them to the package's data.

    .venv/bin/python -m benchmarks quality mean-face ../shared/datasets/lfw/images
    .venv/bin/python -m benchmarks quality fit ../shared/datasets/lfw/images --cache /tmp/quality

The other half is for benchmarks.quality.evaluate.
"""

from __future__ import annotations

import base64

import cv2

from aurum.evaluation import lfw
from aurum.evaluation.lfw import halves
from aurum.quality.parts import COMMON_PARTS, PARTS
from aurum.quality.weights import FITTED, save
from aurum.settings import Settings
from benchmarks.quality.measure import measure, options
from benchmarks.quality.model import calibrated, centre, fit, recognized
from benchmarks.quality.source import Local


def main() -> None:
    """Measure the people for fitting, and write the weights."""
    arguments = options(__doc__).parse_args()
    cv2.setNumThreads(1)
    source = Local(Settings.from_env())
    names, _ = halves(lfw.images(arguments.images))
    table = measure(arguments.images, names, source, arguments.cache)
    middle = centre(table)
    save(
        FITTED._replace(
            embedder=source.embedder,
            centre=base64.b64encode(middle.astype("<f2").tobytes()).decode(),
            of_embedder=calibrated(fit(recognized(table, middle), len(PARTS)), table),
            of_any=fit(table, COMMON_PARTS),
        )
    )
