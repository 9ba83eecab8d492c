"""Error versus reject, on the people that the weights have not seen.

    .venv/bin/python -m benchmarks.quality.evaluate ../shared/datasets/lfw/images \\
        --cache /tmp/quality --out docs/quality [--url 127.0.0.1:8000]

With `--url` every photo goes through the running service; without it the served graphs are called
in process.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aurum.imaging.quality import PARTS, quality, total
from aurum.imaging.quality_weights import LEARNT
from aurum.settings import Settings
from benchmarks.accuracy import lfw, plots
from benchmarks.quality.measure import Table, measure, options
from benchmarks.quality.pairs import FAR, Pairs, error_versus_reject, failures, pairs
from benchmarks.quality.samples import halves
from benchmarks.quality.source import Local, service

SHARES = [share / 100 for share in range(31)]
SHOWN = (0, 5, 10, 20, 30)  # percent, in the report
SETUPS = {False: "one photo of each pair spoilt", True: "both photos spoilt"}
BOOTSTRAPS = 200


def measures(table: Table, embedder: str) -> dict[str, NDArray[np.float32]]:
    """What photos could be rejected by, float32 [S] each; higher is meant to be better."""
    column = {name: table.parts[:, index] for index, name in enumerate(PARTS)}
    return {
        "total": quality(table.parts, embedder),
        "total without norm": total(table.parts, LEARNT.without_norm),
        "detection score": column["confidence"],
        "sharpness": column["sharpness"],
        "norm": column["norm"],
    }


def curves(
    table: Table, chosen: Pairs, by: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float64]]:
    """FNMR at each of `SHARES` for every measure; a pair has the lower one of its photos."""
    failed, _ = failures(table, chosen)
    return {
        name: error_versus_reject(failed, values[chosen.genuine].min(axis=1), SHARES)
        for name, values in by.items()
    }


def ratio(failed: NDArray[np.bool_], values: NDArray[np.floating[Any]]) -> float:
    """FNMR with a tenth of the pairs rejected over FNMR with none; both arguments [G]."""
    none, tenth = error_versus_reject(failed, values, [0, 0.1])
    return float(tenth / none) if none else 1.0


def intervals(
    table: Table, chosen: Pairs, one: NDArray[np.float32], other: NDArray[np.float32]
) -> tuple[list[float], list[float]]:
    """2.5 and 97.5 % quantiles, with people drawn anew: of one's ratio, and of one's less other's.

    The threshold stays as it is: that of all impostor pairs.
    """
    failed, _ = failures(table, chosen)
    lower = [values[chosen.genuine].min(axis=1) for values in (one, other)]
    names = table.person[chosen.genuine[:, 0]]
    groups = [np.flatnonzero(names == name) for name in np.unique(names)]
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(BOOTSTRAPS):
        rows = np.concatenate([groups[i] for i in random.integers(len(groups), size=len(groups))])
        first, second = (ratio(failed[rows], values[rows]) for values in lower)
        drawn.append((first, first - second))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return [float(low[0]), float(high[0])], [float(low[1]), float(high[1])]


def kinds(table: Table, chosen: Pairs) -> list[str]:
    """A Markdown table: what each single kind of degradation does."""
    failed, _ = failures(table, chosen)
    what = table.kinds[chosen.genuine[:, 0]]
    lines = ["| degradation | face not found | FNMR | pairs |", "| --- | --- | --- | --- |"]
    for kind in sorted({str(kind) for kind in what if "+" not in kind}):
        missed = 1 - table.found[table.kinds == kind].mean()
        here = failed[what == kind]
        lines.append(f"| {kind} | {missed:.1%} | {here.mean():.1%} | {len(here)} |")
    several = failed[np.char.find(what, "+") >= 0]
    if len(several):
        lines.append(f"| two of them | | {several.mean():.1%} | {len(several)} |")
    return [*lines, ""]


def report(table: Table, embedder: str, out: Path) -> str:
    """Write curves.csv and curves.png, and return the report in Markdown."""
    by = measures(table, embedder)
    lines = [f"{len(np.unique(table.person))} people, {len(table.person)} samples, {embedder}.", ""]
    rows: list[Sequence[object]] = [("setup", "measure", *(f"{share:.2f}" for share in SHARES))]
    drawn = {}
    for both, setup in SETUPS.items():
        chosen = pairs(table, both)
        failed, threshold = failures(table, chosen)
        found = curves(table, chosen, by)
        drawn[setup] = found
        rows += [(setup, name, *(f"{x:.5f}" for x in fnmr)) for name, fnmr in found.items()]
        own, against = intervals(table, chosen, by["total"], by["detection score"])
        lines += [
            f"**{setup.capitalize()}**: {len(failed)} pairs of one person (and {chosen.missed:.1%} "
            f"left out because a face was not found), {len(chosen.impostors)} of two; threshold "
            f"{threshold:.4f} at FAR {FAR:g}. The total's FNMR at 10 % over that at 0: "
            f"{found['total'][10] / found['total'][0]:.3f} (95 % over people: {own[0]:.3f} to "
            f"{own[1]:.3f}), less the detection score's: {against[0]:+.3f} to {against[1]:+.3f}.",
            "",
            "| rejected by | " + " | ".join(f"{share} %" for share in SHOWN) + " | 10 % / 0 |",
            "| --- |" + " --- |" * (len(SHOWN) + 1),
        ]
        for name, fnmr in found.items():
            cells = " | ".join(f"{fnmr[share]:.2%}" for share in SHOWN)
            lines.append(f"| {name} | {cells} | {fnmr[10] / fnmr[0]:.2f} |")
        best = np.maximum(failed.mean() - np.array(SHARES), 0) / (1 - np.array(SHARES))
        cells = " | ".join(f"{best[share]:.2%}" for share in SHOWN)
        lines += [f"| the best possible | {cells} | {best[10] / best[0]:.2f} |", ""]
        if not both:
            lines += kinds(table, chosen)
    with (out / "curves.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    plots.reject_curves(drawn, SHARES, out / "curves.png")
    return "\n".join(lines)


def main() -> None:
    """Measure the people to judge by, and write the report."""
    parser = options(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--url", help="host:port of a running service's HTTP endpoint")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.url:
        source, embedder = service(arguments.url)
    else:
        source = Local(Settings.from_env())
        embedder = source.embedder
    _, names = halves(lfw.images(arguments.images))
    table = measure(arguments.images, names, source, arguments.cache)
    arguments.out.mkdir(parents=True, exist_ok=True)
    text = report(table, embedder, arguments.out)
    (arguments.out / "report.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
