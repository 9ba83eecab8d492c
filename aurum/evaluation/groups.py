"""`aurum validate groups`: measure false matches within groups of people.

A threshold's FAR holds for two people drawn at random. Two people of one group look more alike, so
their FAR is higher; this measures how much, for groups given in a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum.evaluation import ValidationError, calibration, lfw, read_text, verification
from aurum.evaluation.strangers import Rates, rates
from aurum.evaluation.target import Target

EVERYONE = "everyone"


class Row(NamedTuple):
    """Results of one group."""

    name: str
    people: int
    strangers: Rates
    genuine: NDArray[np.float32]  # [G] similarities of one person's pairs


def read(path: Path) -> dict[str, str]:
    """Read each person's group from lines `person<TAB>group`; `#` begins a comment.

    Raises ValidationError, which names the line.
    """
    groups = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            person, tab, group = line.partition("\t")
            if not (tab and person.strip() and group.strip()):
                raise ValidationError(f"{path}, line {number}: expected `person<TAB>group`")
            groups[person.strip()] = group.strip()
    return groups


def run(
    target: Target, folder: Path, groups: Mapping[str, str], out: Path
) -> tuple[list[Row], dict[float, float]]:
    """Return a row for everyone and for each group, and the service's thresholds by FAR."""
    names = [name for name in lfw.images(folder) if lfw.person(name) in groups]
    if not names:
        raise ValidationError(f"{folder}: no photo shows a person of the groups")
    thresholds = target.thresholds((folder / names[0]).read_bytes())
    vectors = verification.embed(target, folder, names, out).vectors
    people = np.array([lfw.person(name) for name in vectors])
    embeddings = np.stack(list(vectors.values()))
    of = np.array([groups[person] for person in people])
    rows = []
    for group in (EVERYONE, *sorted(set(of.tolist()))):
        members = np.full(len(of), True) if group == EVERYONE else of == group
        _, person = np.unique(people[members], return_inverse=True)
        rows.append(
            Row(
                group,
                int(person.max()) + 1,
                rates(embeddings[members], people[members], list(thresholds.values())),
                calibration.all_pairs(embeddings[members], person).genuine,
            )
        )
    return rows, thresholds


def report(rows: list[Row], thresholds: Mapping[float, float], target: Target, command: str) -> str:
    """Return the report in Markdown."""
    title = [
        "# False matches within groups",
        "",
        f"`{command}`",
        "",
        f"Embedder `{target.embedder}`.",
        "",
    ]
    return "\n".join([*title, *section(rows, thresholds)[2:]])


def section(rows: list[Row], thresholds: Mapping[float, float]) -> list[str]:
    """Return the lines of the table of groups, with a heading."""
    heads = " | ".join(f"at FAR {far:g} ({cosine:.4f})" for far, cosine in thresholds.items())
    lines = [
        "## False matches within groups",
        "",
        "At the calibrated thresholds for two people drawn at random. For pairs of two people of "
        "one group: the accepted share, and that as a multiple of the nominal rate; then the "
        "accepted share of one person's pairs.",
        "",
        f"| group | people | photos | pairs of two | {heads} |",
        "| --- | --- | --- | --- |" + " --- |" * len(thresholds),
    ]
    for row in rows:
        cells = []
        for index, (far, threshold) in enumerate(thresholds.items()):
            share = row.strangers.share(index)
            found = np.mean(row.genuine >= threshold) if len(row.genuine) else np.nan
            cells.append(f"{share:.2e}, {share / far:.1f} times; {found:.2%}")
        lines.append(
            f"| {row.name} | {row.people} | {row.strangers.photos} | {row.strangers.pairs} "
            f"| {' | '.join(cells)} |"
        )
    return [*lines, ""]
