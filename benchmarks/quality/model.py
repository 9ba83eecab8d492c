"""Fit the total quality's model: centre of unrecognizable faces, weights, calibration."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from aurum.quality.parts import PARTS, expand, features, recognizability, total
from aurum.quality.weights import Model
from benchmarks.quality.measure import Table
from benchmarks.quality.pairs import failures, pairs, similarities
from benchmarks.quality.samples import VERSIONS

# Ridge penalty; chosen by cross-validation over the people that the weights are fitted on.
PENALTY = 3.0
DIGITS = 4
FOLDS = 5
SEEDS = 3  # number of splits of the people, for the calibration


def centre(table: Table) -> NDArray[np.float32]:
    """Return the direction [512] of unrecognizable faces' embeddings: their mean, of length 1.

    A degraded photo is unrecognizable if at FAR 1e-3 it does not even match its own original.
    """
    rows = np.arange(len(table.person))
    own = np.column_stack([rows, rows // VERSIONS * VERSIONS])[table.found & (rows % VERSIONS > 0)]
    _, threshold = failures(table, pairs(table, both=False))
    mean = table.embeddings[own[similarities(table, own) < threshold, 0]].mean(axis=0)
    # With the precision of the file.
    return np.asarray(mean / np.linalg.norm(mean), np.float16).astype(np.float32)


def recognized(table: Table, by: NDArray[np.float32]) -> Table:
    """Return the table with the part `recognizability` computed from another centre."""
    parts = table.parts.copy()
    column = recognizability(table.embeddings, by)
    parts[:, PARTS.index("recognizability")] = np.where(table.found, column, 0)
    return table._replace(parts=parts)


def outcomes(table: Table) -> tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.float64]]:
    """Pair degraded photos with each other untouched photo of their person: [G] each.

    Returns their rows; whether the pair fails at FAR 1e-3; and its weight, of mean 1, which is
    inverse to the square root of the person's number of pairs.
    """
    chosen = pairs(table, both=False)
    failed, _ = failures(table, chosen)
    rows = chosen.genuine[:, 0]
    _, person, counts = np.unique(table.person[rows], return_inverse=True, return_counts=True)
    importance = 1 / np.sqrt(counts[person])
    return rows, failed, importance / importance.mean()


def fit(table: Table, columns: int) -> Model:
    """Fit a model of the first `columns` parts.

    It predicts whether a degraded photo matches each other untouched photo of its person at FAR
    1e-3.
    """
    rows, failed, importance = outcomes(table)
    values = features(table.parts[:, :columns])
    found = values[table.found]
    mean = found.mean(axis=0).round(DIGITS)
    spread = np.maximum(found.std(axis=0), 1e-3).round(DIGITS)
    x = expand(values[rows], mean, spread)
    beta = logistic(x, ~failed, importance, PENALTY).round(DIGITS)
    return Model(mean, spread, beta[:-1], float(beta[-1]))


def calibrated(model: Model, table: Table) -> Model:
    """Scale and shift the log-odds of the model of all parts, so that they are probabilities.

    The model is overconfident on the people that it was fitted on. So scale and shift are fitted to
    cross-validated predictions (Platt, 1999); the order of samples does not change.
    """
    rows, failed, importance = outcomes(table)
    predictions = [cross_validated(table, (), seed)[rows] for seed in range(SEEDS)]
    shares = np.clip(np.concatenate(predictions).astype(np.float64), 1e-6, 1 - 1e-6)
    odds = np.log(shares / (1 - shares))
    scale, shift = logistic(
        odds[:, None], np.tile(~failed, SEEDS), np.tile(importance, SEEDS), penalty=0
    )
    return model._replace(
        weights=(model.weights * scale).round(DIGITS),
        bias=round(float(model.bias * scale + shift), DIGITS),
    )


def cross_validated(table: Table, without: Collection[str], seed: int) -> NDArray[np.float32]:
    """Return the total [S] of every sample by models fitted on other people, without some parts."""
    _, person = np.unique(table.person, return_inverse=True)
    fold = np.random.default_rng(seed).integers(FOLDS, size=person.max() + 1)[person]
    found = np.zeros(len(person), np.float32)
    for index in range(FOLDS):
        held = fold == index
        middle = centre(Table(*(column[~held] for column in table)))
        seen = recognized(table, middle)
        seen.parts[:, [PARTS.index(name) for name in without]] = (
            0  # a constant carries no information
        )
        model = fit(Table(*(column[~held] for column in seen)), len(PARTS))
        found[held] = total(seen.parts[held], model)
    return found


def logistic(
    x: NDArray[np.float64],
    y: NDArray[np.bool_],
    importance: NDArray[np.float64],
    penalty: float,
) -> NDArray[np.float64]:
    """Fit a ridge logistic regression of y [N] on x [N,n]: n weights, and an unpenalized bias."""
    x = np.column_stack([x, np.ones(len(x))])
    penalties = np.full(x.shape[1], penalty)
    penalties[-1] = 0

    def loss(beta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = x @ beta
        missing = 1 / (1 + np.exp(-logits)) - y
        value = importance @ (np.logaddexp(0, logits) - y * logits) + penalties @ beta**2 / 2
        return float(value), x.T @ (importance * missing) + penalties * beta

    found = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B")
    return np.asarray(found.x, np.float64)
