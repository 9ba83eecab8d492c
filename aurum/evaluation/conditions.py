"""`aurum validate conditions`: recognition under masks, bad light, turned heads and small faces.

One photo of a pair is changed, the other stays as it is, as when a camera's picture is compared
with an enrolled one. Turned heads can't be made of flat photos: those are LFW's own, by their
estimated yaw.
"""

from __future__ import annotations

import csv
import itertools
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from aurum_client import AurumError
from numpy.typing import NDArray

from aurum.evaluation import ValidationError, ask, disguise, lfw
from aurum.evaluation.ask import Answer, Photo
from aurum.evaluation.disguise import Pixels, Points
from aurum.evaluation.photos import jpeg
from aurum.evaluation.roc import wilson
from aurum.evaluation.strangers import ROWS
from aurum.evaluation.target import Target
from aurum.evaluation.verification import central
from aurum.quality import pose

FARS = (1e-3, 1e-4)
UNTOUCHED = "as they are"
QUALITY = 95  # of the changed photos' JPEGs
FRONTAL = 15.0  # degrees of yaw, at most, of the other photo of a pair with a turned head
YAWS = (20.0, 30.0, 40.0)  # degrees: the limits of the rows of turned heads
# Changes a photo RGB [H,W,3] of a face with landmarks [5,2]; may draw random numbers.
Change = Callable[[Pixels, Points, np.random.Generator], Pixels]


class Face(NamedTuple):
    """What the service says about a photo's central face."""

    vector: NDArray[np.float32]  # [512]
    passes: bool  # the gate
    landmarks: Points  # [5,2]


class Row(NamedTuple):
    """A line of the report. The counts are of pairs of one person, then of two."""

    name: str
    photos: int
    found: int
    passing: int
    genuine: int
    matched: tuple[int, ...]  # of `genuine`, at each threshold, as `compare` decides
    strangers: int  # pairs of a changed photo and another person's untouched one
    alike: tuple[int, ...]
    alike_strangers: int  # pairs of two people's changed photos
    both_alike: tuple[int, ...]


def gray(photo: Pixels, points: Points, random: np.random.Generator) -> Pixels:
    """Take the colour away."""
    plain = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    return np.repeat(plain[..., None], 3, axis=2).astype(np.uint8)


def old(photo: Pixels, points: Points, random: np.random.Generator) -> Pixels:
    """Imitate an old print: soft, faded, brown, with grain of 8 levels and stains of light."""
    height, width = photo.shape[:2]
    soft = cv2.GaussianBlur(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), (0, 0), 1.2) / 255.0
    stains = cv2.resize(
        random.normal(0, 0.06, (5, 5)), (width, height), interpolation=cv2.INTER_CUBIC
    )
    faded = 0.2 + 0.6 * soft + stains + random.normal(0, 8 / 255, (height, width))
    sepia = np.clip(faded, 0, 1)[..., None] * (255, 232, 196)
    return sepia.round().astype(np.uint8)


def backlight(stops: float) -> Change:
    """Light from behind: the face `stops` darker, its surroundings as much brighter."""
    return lambda photo, points, random: disguise.backlight(photo, points, stops)


def small(eyes: float) -> Change:
    """Shrink the photo until the eyes are `eyes` pixels apart."""

    def shrink(photo: Pixels, points: Points, random: np.random.Generator) -> Pixels:
        scale = min(1.0, eyes / float(np.hypot(*(points[1] - points[0]))))
        size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
        return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)

    return shrink


def drawn(*parts: Callable[[Pixels, Points], Pixels]) -> Change:
    """Draw occlusions, one after the other."""

    def draw(photo: Pixels, points: Points, random: np.random.Generator) -> Pixels:
        for part in parts:
            photo = part(photo, points)
        return photo

    return draw


CONDITIONS: Mapping[str, Change] = {
    UNTOUCHED: drawn(),
    "a mask over mouth and nose": drawn(disguise.mask),
    "sunglasses": drawn(disguise.sunglasses),
    "mask and sunglasses": drawn(disguise.sunglasses, disguise.mask),
    "a hand before the mouth": drawn(disguise.hand),
    "gray": gray,
    "an old print, imitated": old,
    **{f"backlight, the face {stops:g} stops darker": backlight(stops) for stops in (1.5, 3, 4.5)},
    **{f"small: {eyes} pixels between the eyes": small(eyes) for eyes in (24, 16, 12, 8)},
}


def run(target: Target, folder: Path, pairs_file: Path, out: Path) -> list[Row]:
    """Return a row for each condition and for each range of yaw.

    Raises ValidationError if the embedder is not calibrated, or a photo shows no face.
    """
    pairs = [pair for pair in lfw.read_pairs(pairs_file) if pair.same]
    every = lfw.images(folder)
    thresholds = target.thresholds((folder / every[0]).read_bytes())
    limits = [thresholds[far] for far in FARS]
    plain = _faces(target, [Photo(name, (folder / name).read_bytes) for name in every], out)
    if lost := next((pair.b for pair in pairs if pair.b not in plain), None):
        raise ValidationError(f"{folder / lost}: shows no face that could be changed")
    rows = []
    for name, change in CONDITIONS.items():
        names = sorted({pair.b for pair in pairs})
        photos = [
            Photo(one, partial(_changed, folder / one, plain[one].landmarks, change))
            for one in names
        ]
        found = _faces(target, photos, out)
        genuine = [(pair.a, pair.b) for pair in pairs]
        rows.append(_row(name, len(names), found, plain, genuine, limits))
    return rows + _turned(plain, limits)


def _turned(plain: Mapping[str, Face], limits: Sequence[float]) -> list[Row]:
    """Make the rows of turned heads: LFW's own photos, each beside the person's frontal ones."""
    points = np.array([face.landmarks for face in plain.values()])
    turns = np.abs(pose.angles(pose.rotations(points))[:, 0])
    yaw = dict(zip(plain, turns.tolist(), strict=True))
    frontal = defaultdict(list)
    for name in plain:
        if yaw[name] <= FRONTAL:
            frontal[lfw.person(name)].append(name)
    rows = []
    for least, most in itertools.pairwise([*YAWS, np.inf]):
        names = [name for name in plain if least <= yaw[name] < most]
        pairs = [(other, name) for name in names for other in frontal[lfw.person(name)]]
        title = (
            f"turned by {least:g} to {most:g}°"
            if most < np.inf
            else f"turned by {least:g}° or more"
        )
        found = {name: plain[name] for name in names}
        rows.append(_row(f"{title}, LFW's own", len(names), found, plain, pairs, limits))
    return rows


def _row(
    name: str,
    photos: int,
    found: Mapping[str, Face],
    plain: Mapping[str, Face],
    genuine: Iterable[tuple[str, str]],
    limits: Sequence[float],
) -> Row:
    """Count one condition; `genuine` are pairs of an untouched and a changed photo of a person."""
    alike = []
    for a, b in genuine:
        sure = b in found and found[b].passes and a in plain and plain[a].passes
        alike.append(float(plain[a].vector @ found[b].vector) if sure else -np.inf)
    passing = {name: face for name, face in found.items() if face.passes}
    strangers, one = _strangers(passing, {n: f for n, f in plain.items() if f.passes}, limits)
    twice, both = _strangers(passing, passing, limits)
    return Row(
        name,
        photos,
        len(found),
        len(passing),
        len(alike),
        tuple(int(np.sum(np.array(alike) >= limit)) for limit in limits),
        strangers,
        one,
        twice // 2,  # each pair was counted from both sides
        tuple(count // 2 for count in both),
    )


def _strangers(
    ones: Mapping[str, Face], others: Mapping[str, Face], limits: Sequence[float]
) -> tuple[int, tuple[int, ...]]:
    """Return the number of pairs of two people, and how many are accepted at each threshold."""
    if not ones or not others:
        return 0, (0,) * len(limits)
    whose = np.array([lfw.person(name) for name in others])
    vectors = np.stack([face.vector for face in others.values()])
    left = np.stack([face.vector for face in ones.values()])
    people = np.array([lfw.person(name) for name in ones])
    pairs, accepted = 0, np.zeros(len(limits), np.int64)
    for start in range(0, len(left), ROWS):
        rows = slice(start, start + ROWS)
        alike = (left[rows] @ vectors.T)[people[rows, None] != whose]
        pairs += len(alike)
        accepted += [np.count_nonzero(alike >= limit) for limit in limits]
    return pairs, tuple(accepted.tolist())


def _faces(target: Target, photos: Sequence[Photo], out: Path) -> dict[str, Face]:
    """Ask the service for the central face of each photo; photos without a face are left out."""
    found = {}
    for name, answer in ask.everything(target, photos, out, embed=True):
        if isinstance(answer, AurumError):
            raise ValidationError(f"{name}: {answer}")
        if (index := central(answer)) is not None:
            found[name] = _face(answer, index)
    return found


def _face(answer: Answer, index: int) -> Face:
    points = answer.landmarks[index].astype(np.float64)
    return Face(answer.embeddings[index], bool(answer.passes[index]), points)


def _changed(path: Path, points: Points, change: Change) -> bytes:
    """Load a photo and change it; the random numbers depend on its name only."""
    random = np.random.default_rng([lfw.SEED, zlib.crc32(path.name.encode())])
    photo = np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), np.uint8)
    return jpeg(change(photo, points, random), QUALITY)


def report(
    rows: Sequence[Row], target: Target, dataset: str, command: str, groups: Sequence[str]
) -> str:
    """Return the report in Markdown; `groups` are the lines of the table of groups, if any."""
    heads = [f"one person matched, FAR {far:g}" for far in FARS]
    heads += [f"strangers matched, FAR {far:g}: one photo so; both" for far in FARS]
    lines = [
        f"# Conditions: {dataset}",
        "",
        f"`{command}`",
        "",
        f"Detector `{target.detector}`, embedder `{target.embedder}`, through `analyze_faces` with "
        "its defaults. The second photo of each pair is changed, the first is as it is. A pair "
        "matches as `compare` decides: both faces found, both past the gate, and alike enough. Of "
        "strangers, the accepted share of the pairs that pass the gate, as a multiple of the FAR. "
        "In brackets: Wilson's 95 % interval.",
        "",
        f"| the second photo | face found | past the gate | {' | '.join(heads)} |",
        "| --- | --- | --- |" + " --- |" * len(heads),
    ]
    for row in rows:
        cells = [
            f"{row.found / max(1, row.photos):.1%} of {row.photos}",
            f"{row.passing / max(1, row.photos):.1%}",
            *(_share(count, row.genuine) for count in row.matched),
            *(
                f"{_times(one, row.strangers, far)}; {_times(two, row.alike_strangers, far)}"
                for one, two, far in zip(row.alike, row.both_alike, FARS, strict=True)
            ),
        ]
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *groups])


def _share(count: int, total: int) -> str:
    low, high = wilson(count, total)
    return f"{count / total:.1%} ({low:.1%} to {high:.1%}) of {total}" if total else "-"


def _times(count: int, pairs: int, far: float) -> str:
    return f"{count / pairs / far:.2f}" if pairs else "-"


def save(rows: Sequence[Row], path: Path) -> None:
    """Write the counts as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        kinds = ("matched", "alike", "both_alike")
        heads = [
            [f"{name}_{far:g}" for far in FARS] if name in kinds else [name] for name in Row._fields
        ]
        writer.writerow(itertools.chain(*heads))
        for row in rows:
            writer.writerow(
                itertools.chain(*(value if isinstance(value, tuple) else (value,) for value in row))
            )
