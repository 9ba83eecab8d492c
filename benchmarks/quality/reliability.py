"""Whether quality is the probability that it says it is, and what rejecting by it costs."""

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
    """A Markdown table: of each range of quality, what it foresees and what comes true."""
    rows, failed, importance = outcomes(table)
    told = table.quality[rows]
    lines = [
        "| quality | photos beside a good one | mean quality | recognized at FAR 1e-3 |",
        "| --- | --- | --- | --- |",
    ]
    off = 0.0
    for least, most in itertools.pairwise(BINS):
        here = (told >= least) & ((told < most) | (most == 1))
        if here.any():
            mean, true = _means(here, importance, told, ~failed)
            off += abs(mean - true) * importance[here].sum() / importance.sum()
            lines.append(f"| {least:g} to {most:g} | {here.sum()} | {mean:.1%} | {true:.1%} |")
    return [*lines, "", f"Expected calibration error: {off:.2%}.", ""]


def by_kind(table: Table) -> list[str]:
    """A Markdown table: the same of photos spoilt in one way, by how much."""
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
    """A Markdown table: what a least quality rejects, and how many of the others are recognized.

    Recognized is a photo beside an untouched other one of its person, at FAR 1e-3.
    """
    spoilt = np.arange(len(table.person)) % VERSIONS > 0
    told = [table.quality[table.found & where] for where in (~spoilt, spoilt)]
    # By what the first photo of a pair is: as it is, or spoilt.
    chosen = [pairs(table, both=False, share=share) for share in (0.0, 1.0)]
    failed = [failures(table, some)[0] for some in chosen]
    lines = [
        "| minimum quality | untouched photos rejected | spoilt photos rejected "
        "| recognized of those that pass: untouched | spoilt |",
        "| --- | --- | --- | --- | --- |",
    ]
    for cut in CUTS:
        rejected = [np.mean(values < cut) for values in told]
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
