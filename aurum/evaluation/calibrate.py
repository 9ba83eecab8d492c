"""`aurum validate calibrate`: calibrate the service's embedder on photos of many people."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aurum.evaluation import calibration, lfw, plots, verification
from aurum.evaluation.target import Target


def run(target: Target, folder: Path, out: Path, dataset: str, date: str, command: str) -> str:
    """Embed every photo of `folder`, write table and plot to `out`, return the report."""
    embedded = verification.embed(target, folder, lfw.images(folder), out)
    names = list(embedded.vectors)
    vectors = np.stack([embedded.vectors[name] for name in names])
    _, people = np.unique([lfw.person(name) for name in names], return_inverse=True)
    pairs = calibration.all_pairs(vectors, people)
    found = calibration.calibrate(pairs, photos=len(names), people=int(people.max()) + 1)
    plots.calibration(pairs.genuine, pairs.impostors, found.logistic, out / "calibration.png")
    table = calibration.table(found, target.embedder, dataset, date, command)
    (out / "calibration.toml").write_text(table, encoding="utf-8")
    return report(found, table, target.embedder, len(embedded.without_face))


def report(found: calibration.Calibration, table: str, embedder: str, without_face: int) -> str:
    """Return Markdown: the thresholds, their rates on these photos, and the table to paste."""
    lines = [
        f"# Calibration of {embedder}",
        "",
        f"{found.photos} photos of {found.people} people ({without_face} photos without a face "
        f"left out): {found.genuine} pairs of one person, each person weighing the same, and "
        f"{found.impostors} of two.",
        "",
        "| FAR | threshold | pairs of two people above it | TAR, by people | TAR, by pairs |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {item.far:g} | {item.threshold:.4f} | {item.accepted} | {item.tar:.2%} "
            f"| {tar:.2%} |"
            for item, tar in zip(found.thresholds, found.tars, strict=True)
        ),
        "",
        f"Probability of one person at a prior of {calibration.PRIOR}: "
        f"1 / (1 + exp(-({found.logistic.slope:.4f} * similarity "
        f"{found.logistic.intercept:+.4f}))).",
        "",
        "```toml",
        table.rstrip(),
        "```",
        "",
    ]
    return "\n".join(lines)
