"""Reliability of quality as a probability, and the cost of rejecting by it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.measure import Table
from benchmarks.quality.model import outcomes
from benchmarks.quality.pairs import failures, pairs
from benchmarks.quality.samples import VERSIONS

BINS = (0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1)
CUTS = (0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)


def reliability(table: Table) -> list[str]:
    """Return a Markdown table of predicted and actual probability, for each range of quality."""
    rows, failed, importance = outcomes(table)
    predicted = table.quality[rows]
    lines = [
        "| quality | photos beside a good one | mean quality | recognized at FAR 1e-3 |",
        "| --- | --- | --- | --- |",
    ]
    off = 0.0
    for least, most in itertools.pairwise(BINS):
        here = (predicted >= least) & ((predicted < most) | (most == 1))
        if here.any():
            mean, true = _means(here, importance, predicted, ~failed)
            off += abs(mean - true) * importance[here].sum() / importance.sum()
            lines.append(f"| {least:g} to {most:g} | {here.sum()} | {mean:.1%} | {true:.1%} |")
    return [*lines, "", f"Expected calibration error: {off:.2%}.", ""]


def by_kind(table: Table) -> list[str]:
    """Return the same table by single degradation and severity."""
    rows, failed, importance = outcomes(table)
    lines = [
        "| degradation | severity | pairs | mean quality | recognized at FAR 1e-3 |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind in sorted({str(kind) for kind in table.kinds if kind and "+" not in kind}):
        for name, strong in (("milder half", False), ("stronger half", True)):
            here = (table.kinds[rows] == kind) & ((table.severity[rows] >= 0.5) == strong)
            if here.any():
                mean, true = _means(here, importance, table.quality[rows], ~failed)
                lines.append(f"| {kind} | {name} | {here.sum()} | {mean:.1%} | {true:.1%} |")
    return [*lines, ""]


def cuts(table: Table) -> list[str]:
    """Return a Markdown table of what a minimum quality rejects, and how many pass and match.

    A photo is recognized if it matches another untouched photo of its person at FAR 1e-3.
    """
    degraded = np.arange(len(table.person)) % VERSIONS > 0
    quality = [table.quality[table.found & where] for where in (~degraded, degraded)]
    # The first photo of a pair is untouched, or degraded.
    chosen = [pairs(table, both=False, share=share) for share in (0.0, 1.0)]
    failed = [failures(table, some)[0] for some in chosen]
    lines = [
        "| minimum quality | untouched photos rejected | degraded photos rejected "
        "| recognized of those that pass: untouched | degraded |",
        "| --- | --- | --- | --- | --- |",
    ]
    for cut in CUTS:
        rejected = [np.mean(values < cut) for values in quality]
        recognized = [
            np.mean(~fails[table.quality[some.genuine[:, 0]] >= cut])
            for some, fails in zip(chosen, failed, strict=True)
        ]
        cells = " | ".join(f"{share:.2%}" for share in (*rejected, *recognized))
        lines.append(f"| {cut:g} | {cells} |")
    return [*lines, ""]


def _means(
    here: NDArray[np.bool_], importance: NDArray[np.float64], *columns: NDArray[Any]
) -> list[float]:
    return [float(np.average(column[here], weights=importance[here])) for column in columns]
