"""Fit the total quality's weights on half of the people, and write them into the code's assets.

    .venv/bin/python -m benchmarks.quality.mean_face ../shared/datasets/lfw/images
    .venv/bin/python -m benchmarks.quality.fit ../shared/datasets/lfw/images --cache /tmp/quality

The other half is what benchmarks.quality.evaluate judges by.
"""

from __future__ import annotations

import base64

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from aurum.imaging.quality import OF_ANY, PARTS, expand, features, recognizability
from aurum.imaging.quality_weights import LEARNT, Model, save
from aurum.settings import Settings
from benchmarks.accuracy import lfw
from benchmarks.quality.measure import Table, measure, options
from benchmarks.quality.pairs import failures, pairs, similarities
from benchmarks.quality.samples import VERSIONS, halves
from benchmarks.quality.source import Local

# Ridge penalty; chosen by cross-validation over the people that the weights are fitted on.
PENALTY = 3.0
DIGITS = 4


def centre(table: Table) -> NDArray[np.float32]:
    """The direction [512] of unrecognizable faces' embeddings: their mean, of length 1.

    Unrecognizable is a spoilt photo that at FAR 1e-3 is not even recognized beside the untouched
    one that it was made of.
    """
    rows = np.arange(len(table.person))
    own = np.column_stack([rows, rows // VERSIONS * VERSIONS])[table.found & (rows % VERSIONS > 0)]
    _, threshold = failures(table, pairs(table, both=False))
    mean = table.embeddings[own[similarities(table, own) < threshold, 0]].mean(axis=0)
    # As the file keeps it.
    return np.asarray(mean / np.linalg.norm(mean), np.float16).astype(np.float32)


def recognized(table: Table, by: NDArray[np.float32]) -> Table:
    """The table with the part `recognizability` that another centre gives."""
    parts = table.parts.copy()
    column = recognizability(table.embeddings, by)
    parts[:, PARTS.index("recognizability")] = np.where(table.found, column, 0)
    return table._replace(parts=parts)


def fit(table: Table, columns: int) -> Model:
    """A model of the first `columns` parts.

    It tells whether a spoilt photo is recognized beside each untouched other photo of its person,
    at FAR 1e-3. A person with many photos has many pairs, so pairs weigh by the root of that.
    """
    chosen = pairs(table, both=False)
    failed, _ = failures(table, chosen)
    rows = chosen.genuine[:, 0]
    _, person, counts = np.unique(table.person[rows], return_inverse=True, return_counts=True)
    importance = 1 / np.sqrt(counts[person])
    importance /= importance.mean()
    values = features(table.parts[:, :columns])
    found = values[table.found]
    mean, spread = _rounded(found.mean(axis=0)), _rounded(np.maximum(found.std(axis=0), 1e-3))
    x = expand(values[rows], mean, spread)
    *weights, bias = _rounded(logistic(x, ~failed, importance))
    return Model(mean, spread, weights, bias)


def logistic(
    x: NDArray[np.float64], y: NDArray[np.bool_], importance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Ridge logistic regression of y [N] on x [N,n]: n weights and the bias, which is free."""
    x = np.column_stack([x, np.ones(len(x))])
    penalty = np.full(x.shape[1], PENALTY)
    penalty[-1] = 0

    def loss(beta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = x @ beta
        missing = 1 / (1 + np.exp(-logits)) - y
        value = importance @ (np.logaddexp(0, logits) - y * logits) + penalty @ beta**2 / 2
        return float(value), x.T @ (importance * missing) + penalty * beta

    found = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B")
    return np.asarray(found.x, np.float64)


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), DIGITS) for value in values]


def main() -> None:
    """Measure the people to fit on, and write the weights."""
    arguments = options(__doc__).parse_args()
    cv2.setNumThreads(1)
    source = Local(Settings.from_env())
    names, _ = halves(lfw.images(arguments.images))
    table = measure(arguments.images, names, source, arguments.cache)
    middle = centre(table)
    save(
        LEARNT._replace(
            embedder=source.embedder,
            centre=base64.b64encode(middle.astype("<f2").tobytes()).decode(),
            of_embedder=fit(recognized(table, middle), len(PARTS)),
            of_any=fit(table, OF_ANY),
        )
    )


if __name__ == "__main__":
    main()
