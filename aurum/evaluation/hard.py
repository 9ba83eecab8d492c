"""`aurum validate variants`: measure recall on hard variants of known faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from aurum.evaluation import ValidationError, ask, boxes, detection
from aurum.evaluation.annotations import Marked
from aurum.evaluation.ask import Photo
from aurum.evaluation.detection import Tally
from aurum.evaluation.target import Target
from aurum.evaluation.variants import UNTOUCHED, VARIANTS


def chosen(only: Sequence[str]) -> list[str]:
    """Return UNTOUCHED and the variants whose names begin with one of `only`, by default all."""
    names = [name for name in VARIANTS if not only or name.startswith(tuple(only))]
    if not names:
        raise ValidationError(f"no variant begins with {', '.join(only)}; there are {[*VARIANTS]}")
    return list(dict.fromkeys([UNTOUCHED, *names]))


def run(
    target: Target,
    folder: Path,
    marked: Mapping[str, Marked],
    out: Path,
    limit: int,
    only: Sequence[str],
) -> list[Tally]:
    """Return a tally for each variant; photos are generated when they are sent."""
    faces = detection.faces(folder, marked, limit)
    tallies = []
    for kind in chosen(only):
        truth: dict[str, Marked] = {}
        tally = Tally(kind)
        photos = [
            Photo(f"{name}#{index}", partial(_make, kind, folder, name, marked[name], index, truth))
            for name, index in faces
        ]
        for name, answer in ask.everything(target, photos, out, embed=True):
            tally.add(name, truth.pop(name), answer)
        tallies.append(tally)
        tally.compare(tallies[0])
    return tallies


def _make(
    kind: str, folder: Path, name: str, marked: Marked, index: int, truth: dict[str, Marked]
) -> bytes:
    """Generate the variant's photo; add its faces to `truth`."""
    variant = VARIANTS[kind](detection.scene(folder, name, marked, index))
    truth[f"{name}#{index}"] = variant.marked
    return variant.data


def report(tallies: Sequence[Tally], target: Target, source: str, command: str) -> str:
    """Return the report in Markdown."""
    return "\n".join(
        [
            f"# Hard variants of {source}",
            "",
            f"`{command}`",
            "",
            f"Detector `{target.detector}`, through `analyze_faces` with its defaults. A face is "
            f"found where the IoU, within the frame, is at least {boxes.MIN_IOU}. Each photo has "
            "one face that counts; others are neither right nor wrong to find. Likeness: the "
            "embedding's cosine with that of the untouched photo's face.",
            "",
            *detection.table(tallies, likeness=True),
            "",
        ]
    )
