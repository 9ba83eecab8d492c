"""Calibrate the service's embedder on photos of many people.

`aurum validate calibrate` makes a table for the manifest, and a plot. `aurum models calibrate`
makes a user's own calibration, which the next built graph contains.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum import files
from aurum.evaluation import calibration, lfw, plots, verification
from aurum.evaluation.roc import AtFar, wilson
from aurum.evaluation.target import Target
from aurum.models import calibrations

SHOWN = 3  # most alike pairs of two people


class Measured(NamedTuple):
    """The faces of a folder of people, and the calibration on them."""

    found: calibration.Calibration
    pairs: calibration.Pairs
    names: list[str]  # of the photos with a face
    vectors: NDArray[np.float32]  # [N,512]
    people: NDArray[np.integer[Any]]  # [N]
    left_out: int  # photos without a face, and refused ones


def measure(target: Target, folder: Path, out: Path, *, enough: bool) -> Measured:
    """Embed every photo of `folder` and calibrate on all pairs; answers are kept in `out`.

    Raises ValidationError without any pairs; with `enough`, also if the photos are too few for all
    thresholds to mean something.
    """
    embedded = verification.embed(target, folder, lfw.images(folder), out)
    names = list(embedded.vectors)
    _, people = np.unique([lfw.person(name) for name in names], return_inverse=True)
    if enough or not names:
        calibration.check_enough(people)
    vectors = np.stack([embedded.vectors[name] for name in names])
    pairs = calibration.all_pairs(vectors, people)
    found = calibration.calibrate(pairs, photos=len(names), people=int(people.max()) + 1)
    left_out = len(embedded.without_face) + len(embedded.errors)
    return Measured(found, pairs, names, vectors, people, left_out)


def run(target: Target, folder: Path, out: Path, dataset: str, date: str, command: str) -> str:
    """Calibrate for the manifest: write table and plot to `out`, return the report."""
    measured = measure(target, folder, out, enough=False)
    found = measured.found
    plots.calibration(
        measured.pairs.genuine, measured.pairs.impostors, found.logistic, out / "calibration.png"
    )
    table = calibration.table(found, target.embedder, dataset, date, command)
    (out / "calibration.toml").write_text(table, encoding="utf-8")
    return "\n".join([*_lines(measured, target.embedder), "```toml", table.rstrip(), "```", ""])


def check(folder: Path) -> None:
    """Check that a folder can have enough faces, before any is looked for.

    Raises ValidationError.
    """
    names = lfw.images(folder)
    calibration.check_enough(
        np.unique([lfw.person(name) for name in names], return_inverse=True)[1]
    )


def keep(target: Target, folder: Path, date: str, command: str) -> tuple[str, Path]:
    """Calibrate for this installation: write the user's own file; return the report and its path.

    The embeddings, which identify people, are deleted.
    """
    with tempfile.TemporaryDirectory(prefix="aurum-") as answers:
        measured = measure(target, folder, Path(answers), enough=True)
    table = calibration.table(
        measured.found, target.embedder, folder.resolve().name, date, command, "calibration"
    )
    path = calibrations.own_file(target.embedder, target.settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, table.encode())
    lines = _lines(measured, target.embedder)
    lines += ["The most alike photos of two people; if they show one, correct the folders:", ""]
    for one, other, alike in calibration.most_alike(measured.vectors, measured.people, SHOWN):
        lines.append(f"- {measured.names[one]} and {measured.names[other]}: {alike:.4f}")
    return "\n".join([*lines, ""]), path


def _lines(measured: Measured, embedder: str) -> list[str]:
    """Return Markdown: the thresholds and their rates on these photos."""
    found = measured.found
    return [
        f"# Calibration of {embedder}",
        "",
        f"{found.photos} photos of {found.people} people ({measured.left_out} photos refused, "
        f"or without a face): {found.genuine} pairs of one person, each person weighing the same, "
        f"and {found.impostors} of two.",
        "",
        "| FAR | threshold | pairs of two people above it | TAR, by people | TAR, by pairs |",
        "| --- | --- | --- | --- | --- |",
        *(_row(item, tar) for item, tar in zip(found.thresholds, found.tars, strict=True)),
        "",
        f"Probability of one person at a prior of {calibration.PRIOR}: "
        f"1 / (1 + exp(-({found.logistic.slope:.4f} * similarity "
        f"{found.logistic.intercept:+.4f}))).",
        "",
    ]


def _row(item: AtFar, tar: float) -> str:
    low, high = wilson(item.accepted, item.impostors)
    accepted = f"{item.accepted}: a FAR of {low:.1e} to {high:.1e} (Wilson, 95 %)"
    return f"| {item.far:g} | {item.threshold:.4f} | {accepted} | {item.tar:.2%} | {tar:.2%} |"
