"""`aurum validate groups`: false matches within groups of people, which are more than at random.

A threshold's FAR is that of two people drawn at random. Two of one group look more alike, so among
them it is higher; how much, this tells for the groups of a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum.evaluation import ValidationError, calibration, lfw, verification
from aurum.evaluation.strangers import Rates, rates
from aurum.evaluation.target import Target

EVERYONE = "everyone"


class Row(NamedTuple):
    """What is known of one group."""

    name: str
    people: int
    strangers: Rates
    genuine: NDArray[np.float32]  # [G] similarities of one person's pairs


def read(path: Path) -> dict[str, str]:
    """Each person's group: lines `person<TAB>group`; `#` begins a comment.

    Raises ValidationError that names the line.
    """
    groups = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            person, tab, group = line.partition("\t")
            if not (tab and person.strip() and group.strip()):
                raise ValidationError(f"{path}, line {number}: expected `person<TAB>group`")
            groups[person.strip()] = group.strip()
    return groups


def run(
    target: Target, folder: Path, groups: Mapping[str, str], out: Path
) -> tuple[list[Row], dict[float, float]]:
    """A row for everyone and for each group, and the service's thresholds by FAR."""
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
    """The run in Markdown."""
    heads = " | ".join(f"at FAR {far:g} ({cosine:.4f})" for far, cosine in thresholds.items())
    lines = [
        "# False matches within groups",
        "",
        f"`{command}`",
        "",
        f"Embedder `{target.embedder}`, at the thresholds that its calibration gives for two "
        "people drawn at random. Pairs of two people of one group, and what share of them is "
        "accepted: as a rate, and in times the nominal one; then the share of one person's pairs "
        "that is.",
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
    return "\n".join([*lines, ""])
