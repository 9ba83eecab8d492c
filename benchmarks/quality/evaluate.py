"""Evaluate the total quality on people that were not used for fitting: error versus reject.

    .venv/bin/python -m benchmarks quality evaluate ../shared/datasets/lfw/images \\
        --cache /tmp/quality --out docs/reports/quality \\
        [--pairs ../shared/datasets/lfw/pairs_dev.txt] [--url 127.0.0.1:8000]

With `--pairs` it also evaluates the pairs of a file in LFW's format. With `--url` every photo goes
through the running service; otherwise the served graphs are called in process.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aurum.evaluation import lfw, plots
from aurum.evaluation.lfw import halves
from aurum.quality.parts import CENTRE, PARTS, quality, total
from aurum.quality.weights import FITTED
from aurum.settings import Settings
from benchmarks.quality.measure import Table, measure, options
from benchmarks.quality.model import recognized
from benchmarks.quality.pairs import FAR, Pairs, error_versus_reject, failures, pairs, where
from benchmarks.quality.reliability import by_kind, cuts, reliability
from benchmarks.quality.source import Local, service

SHARES = [share / 100 for share in range(31)]
SHOWN = (0, 5, 10, 20, 30)  # percent, in the report
SETUPS = {False: "one photo of each pair degraded", True: "both photos degraded"}
MIXED = (0.5, 0.25, 0.1)  # shares of the pairs with a degraded photo, in addition to 1
BOOTSTRAPS = 200


def measures(table: Table, embedder: str) -> dict[str, NDArray[np.float32]]:
    """Return the scores that photos could be rejected by, float32 [S] each; higher is better."""
    column = {name: table.parts[:, index] for index, name in enumerate(PARTS)}
    return {
        "total": quality(table.parts, embedder),
        "total of any embedder": total(table.parts, FITTED.of_any),
        "recognizability": column["recognizability"],
        "detection score": column["confidence"],
        "sharpness": column["sharpness"],
        "norm": column["norm"],
    }


def curves(
    chosen: Pairs, failed: NDArray[np.bool_], by: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float64]]:
    """Return FNMR at each of `SHARES` for every score; a pair has its photos' lower score."""
    return {
        name: error_versus_reject(failed, values[chosen.genuine].min(axis=1), SHARES)
        for name, values in by.items()
    }


def ratio(failed: NDArray[np.bool_], values: NDArray[np.floating[Any]]) -> float:
    """Return the ratio of FNMR with a tenth of the pairs rejected to that with none; inputs [G]."""
    none, tenth = error_versus_reject(failed, values, [0, 0.1])
    return float(tenth / none) if none else 1.0


def intervals(
    table: Table,
    chosen: Pairs,
    failed: NDArray[np.bool_],
    one: NDArray[np.float32],
    other: NDArray[np.float32],
) -> tuple[list[float], list[float]]:
    """Return 2.5 and 97.5 % bootstrap quantiles over people.

    They are of one's ratio, and of the difference of one's and other's ratios. The threshold stays
    that of all impostor pairs.
    """
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


def kinds(table: Table, chosen: Pairs, failed: NDArray[np.bool_]) -> list[str]:
    """Return a Markdown table of the effect of each single kind of degradation."""
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


def mixtures(table: Table, official: Collection[frozenset[str]]) -> Iterator[tuple[str, Pairs]]:
    """Yield other selections of pairs, each with its name."""
    for share in MIXED:
        yield f"{share:.0%} of the pairs with a degraded photo", pairs(table, False, share)
    every = pairs(table, both=False)
    for name, least, most in (("milder half", 0, 0.5), ("stronger half", 0.5, 1)):
        fits = (table.severity >= least) & (table.severity < most)
        yield (
            f"the {name} of the severities",
            where(every, fits[every.genuine[:, 0]], fits[every.impostors[:, 0]]),
        )
    for share in (1.0, *MIXED) if official else ():
        some = pairs(table, False, share)
        listed = [frozenset(names) in official for names in table.photo[some.genuine].tolist()]
        yield (
            f"LFW's own pairs, {share:.0%} of them with a degraded photo",
            where(some, np.array(listed), np.ones(len(some.impostors), bool)),
        )


def mixture_table(
    table: Table, by: Mapping[str, NDArray[np.float32]], official: Collection[frozenset[str]]
) -> list[str]:
    """Return a Markdown table of every score's ratio for other selections of pairs."""
    lines = [
        "| pairs | number | FNMR | total, 95 % | " + " | ".join(by) + " | the best possible |",
        "| --- | --- | --- | --- |" + " --- |" * (len(by) + 1),
    ]
    for name, chosen in mixtures(table, official):
        failed, _ = failures(table, chosen)
        own, _ = intervals(table, chosen, failed, by["total"], by["detection score"])
        found = [ratio(failed, values[chosen.genuine].min(axis=1)) for values in by.values()]
        cells = " | ".join(f"{value:.2f}" for value in (*found, ratio(failed, ~failed * 1.0)))
        lines.append(
            f"| {name} | {len(failed)} | {failed.mean():.2%} | {own[0]:.2f} to {own[1]:.2f} "
            f"| {cells} |"
        )
    return [*lines, ""]


def severities(table: Table) -> list[str]:
    """Return a Markdown table of the mean `recognizability` by degradation and severity."""
    column = table.parts[:, PARTS.index("recognizability")]
    steps = np.linspace(0, 1, 5)
    heads = [f"{start:g} to {end:g}" for start, end in itertools.pairwise(steps)]
    lines = [
        f"**`recognizability`**, mean by severity; untouched photos "
        f"{column[table.found & (table.kinds == '')].mean():.3f}:",
        "",
        "| degradation | " + " | ".join(heads) + " |",
        "| --- |" + " --- |" * len(heads),
    ]
    step = np.digitize(table.severity, steps[1:-1])
    for kind in sorted({str(kind) for kind in table.kinds if kind and "+" not in kind}):
        rows = [table.found & (table.kinds == kind) & (step == index) for index in range(4)]
        cells = (f"{column[row].mean():.3f}" if row.any() else "" for row in rows)
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return [*lines, ""]


def report(
    table: Table, embedder: str, out: Path, official: Collection[frozenset[str]] = ()
) -> str:
    """Write curves.csv and curves.png, and return the report in Markdown.

    `official` contains pairs of one person, as sets of their photos' names.
    """
    by = measures(table, embedder)
    people, samples = len(np.unique(table.person)), len(table.person)
    lines = ["# Quality report", "", f"{people} people, {samples} samples, {embedder}.", ""]
    rows: list[Sequence[object]] = [("setup", "measure", *(f"{share:.2f}" for share in SHARES))]
    drawn = {}
    for both, setup in SETUPS.items():
        chosen = pairs(table, both)
        failed, threshold = failures(table, chosen)
        found = curves(chosen, failed, by)
        drawn[setup] = found
        rows += [(setup, name, *(f"{x:.5f}" for x in fnmr)) for name, fnmr in found.items()]
        own, against = intervals(table, chosen, failed, by["total"], by["detection score"])
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
            lines += kinds(table, chosen, failed)
    lines += [
        "**Other mixtures**, one photo degraded or none; the ratio of FNMR at 10 % to FNMR at 0 "
        "by:",
        "",
    ]
    lines += [*mixture_table(table, by, official), *severities(table)]
    lines += ["**Quality as a probability**, for one degraded photo beside an untouched one:", ""]
    lines += [
        *reliability(table),
        *by_kind(table),
        "**Minimum quality**, and what it rejects:",
        "",
        *cuts(table),
    ]
    with (out / "curves.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    plots.reject_curves(drawn, SHARES, out / "curves.png")
    return "\n".join(lines)


def main() -> None:
    """Measure the people for the evaluation, and write the report."""
    parser = options(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--pairs", type=Path, help="also evaluate this pairs file")
    parser.add_argument("--url", help="host:port of a running service's HTTP endpoint")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.url:
        source, embedder = service(arguments.url)
    else:
        source = Local(Settings.from_env())
        embedder = source.embedder
    _, names = halves(lfw.images(arguments.images))
    # The measurements may be older than the last fit and its centre.
    table = recognized(measure(arguments.images, names, source, arguments.cache), CENTRE)
    arguments.out.mkdir(parents=True, exist_ok=True)
    listed = lfw.read_pairs(arguments.pairs) if arguments.pairs else []
    official = {frozenset((pair.a, pair.b)) for pair in listed if pair.same}
    text = report(table, embedder, arguments.out, official)
    (arguments.out / "report.md").write_text(text, encoding="utf-8")
    print(text)
