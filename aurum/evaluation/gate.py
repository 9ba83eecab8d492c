"""`aurum validate gate`: measure how the gate reduces false matches, and what it costs.

For each kind and severity of degradation, strangers degraded in the same way are compared: how
often they match without the gate, and among those that pass it. They come from the half of the
people that the gate's ranges were not fitted on. The cost is what the gate rejects of the photos of
a pairs file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from aurum_client import AurumError
from numpy.typing import NDArray

from aurum.evaluation import ValidationError, ask, kinds, lfw
from aurum.evaluation.ask import Answer, Photo
from aurum.evaluation.kinds import FARS
from aurum.evaluation.lfw import halves
from aurum.evaluation.strangers import Rates, rates
from aurum.evaluation.target import Target


class Faces(NamedTuple):
    """The service's answers for one kind and severity."""

    photos: int
    vectors: NDArray[np.float32]  # [F,512]
    passes: NDArray[np.bool_]  # [F]
    owners: list[str]  # [F]


class Row(NamedTuple):
    """A line of the report."""

    name: str
    photos: int
    faces: int
    without: Rates  # of all faces
    gated: Rates  # of those that pass


def together(parts: Iterable[Faces]) -> Faces:
    """Join all severities of one kind."""
    photos, vectors, passes, owners = zip(*parts, strict=True)
    return Faces(
        sum(photos), np.concatenate(vectors), np.concatenate(passes), [x for o in owners for x in o]
    )


def evaluate(name: str, faces: Faces, thresholds: Sequence[float]) -> Row:
    """Count how often strangers match, with the gate and without it."""
    owners = np.array(faces.owners)
    passing = faces.passes
    return Row(
        name,
        faces.photos,
        len(owners),
        rates(faces.vectors, owners, thresholds),
        rates(faces.vectors[passing], owners[passing], thresholds),
    )


def run(target: Target, folder: Path, pairs_file: Path, out: Path) -> tuple[list[Row], list[str]]:
    """Return the rows of all kinds, and the cost in Markdown."""
    _, names = halves(lfw.images(folder))
    firsts = lfw.firsts(names)
    by_far = target.thresholds((folder / names[0]).read_bytes())
    thresholds = [by_far[far] for far in FARS]
    rows, cost = [], _cost(target, folder, pairs_file, out, thresholds)
    for kind in (*kinds.KINDS, kinds.NO_FACE):
        severities = [severity for name, severity in kinds.every() if name == kind]
        found = [_faces(target, folder, firsts, kind, severity, out) for severity in severities]
        if len(found) > 1:
            rows += [
                evaluate(f"{kind}, {severity}", faces, thresholds)
                for severity, faces in zip(severities, found, strict=True)
            ]
        rows.append(evaluate(f"**{kind}**", together(found), thresholds))
    return rows, cost


def report(rows: Sequence[Row], cost: Sequence[str], target: Target, command: str) -> str:
    """Return the report in Markdown."""
    heads = " | ".join(f"FAR {far:g}: all | passing" for far in FARS)
    lines = [
        "# Strangers who can't be recognized",
        "",
        f"`{command}`",
        "",
        f"Embedder `{target.embedder}`. False match rates, as multiples of the nominal rate, of "
        "pairs of two people degraded in the same way: of all faces, and of those that pass the "
        "gate.",
        "",
        *cost,
        f"| photos | faces | pass | {heads} |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [
            f"{found.share(index) / far:.2f}" if found.pairs else "-"
            for index, far in enumerate(FARS)
            for found in (row.without, row.gated)
        ]
        passing = f"{row.gated.photos} ({row.gated.photos / max(1, row.faces):.1%})"
        lines.append(
            f"| {row.name} | {row.faces} of {row.photos} | {passing} | {' | '.join(cells)} |"
        )
    return "\n".join([*lines, ""])


def _faces(
    target: Target, folder: Path, names: Sequence[str], kind: str, severity: str, out: Path
) -> Faces:
    items = kinds.items(folder, names, kind, severity)
    photos = [Photo(item.name, item.load) for item in items]
    # The largest face, as for embed_face; every detection in pictures without a face.
    options: dict[str, Any] = {"min_confidence": kinds.UNSURE} if kind == kinds.NO_FACE else {}
    most = None if options else 1
    owners = {item.name: item.owner for item in items}
    vectors: list[NDArray[np.float32]] = []
    passes: list[bool] = []
    whose: list[str] = []
    for name, answer in ask.everything(target, photos, out, embed=True, **options):
        if isinstance(answer, Answer):
            vectors += list(answer.embeddings[:most])
            passes += answer.passes[:most].tolist()
            whose += [owners[name]] * len(answer.embeddings[:most])
    return Faces(
        len(items), np.array(vectors, np.float32).reshape(-1, 512), np.array(passes, bool), whose
    )


def _cost(
    target: Target, folder: Path, pairs_file: Path, out: Path, thresholds: Sequence[float]
) -> list[str]:
    """Measure how many pairs of a file the gate rejects; Markdown lines."""
    pairs = lfw.read_pairs(pairs_file)
    names = sorted({name for pair in pairs for name in (pair.a, pair.b)})
    vectors: dict[str, NDArray[np.float32]] = {}
    passes: dict[str, bool] = {}
    photos = [Photo(name, (folder / name).read_bytes) for name in names]
    for name, answer in ask.everything(target, photos, out, embed=True):
        if isinstance(answer, AurumError) or not answer.faces:
            raise ValidationError(f"{name}: no face, {answer}")
        vectors[name], passes[name] = answer.embeddings[0], bool(answer.passes[0])
    both = np.array([passes[pair.a] and passes[pair.b] for pair in pairs])
    same = np.array([pair.same for pair in pairs])
    alike = np.array([float(vectors[pair.a] @ vectors[pair.b]) for pair in pairs])
    lines = [
        f"The cost on {pairs_file.name}: {1 - np.mean(list(passes.values())):.2%} of "
        f"{len(passes)} photos don't pass, and so {1 - both.mean():.2%} of {len(pairs)} pairs are "
        "not decided.",
        "",
        "| FAR | pairs of one person matched: all | with the gate | of two people: all | gated |",
        "| --- | --- | --- | --- | --- |",
    ]
    for far, threshold in zip(FARS, thresholds, strict=True):
        cells = [
            f"{np.mean((alike[of] >= threshold) & kept[of]):.2%}"
            for of in (same, ~same)
            for kept in (np.ones(len(pairs), bool), both)
        ]
        lines.append(f"| {far:g} | {' | '.join(cells)} |")
    return [*lines, ""]
