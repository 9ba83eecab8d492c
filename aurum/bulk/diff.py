"""Compare two runs over the same photos, such as before and after a change of models.

Faces of one photo are paired by their boxes. Neighbours are compared among the paired faces only
that are fit for recognition, so that both runs choose from the same ones: exactly, for a sample of
faces against all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum.bulk import UsageError, output
from aurum.bulk.neighbors import Neighbors, nearest, similarities
from aurum.bulk.output import Manifest
from aurum.bulk.shards import key
from aurum.imaging.overlap import iou

MIN_IOU = 0.5  # of the same face, as in PASCAL VOC
TIE = 1e-3  # cosines this close are the same
SHOWN = 20  # examples of each kind


class Faces(NamedTuple):
    """A run's faces without their embeddings, in the order of its files."""

    ids: NDArray[np.void]  # [F] key of the photo
    numbers: NDArray[np.int32]  # [F] within the photo
    boxes: NDArray[np.float32]  # [F,4]
    fit: NDArray[np.bool_]  # [F] for recognition


@dataclass(frozen=True)
class Changed:
    """A photo whose faces changed."""

    id: str
    lost: int
    gained: int


@dataclass(frozen=True)
class Moved:
    """A face whose nearest neighbour changed; faces are `(id, number in the old or new run)`."""

    face: tuple[str, int]
    before: tuple[str, int]
    before_similarity: float
    after: tuple[str, int]
    after_similarity: float


@dataclass
class Difference:
    """What changed. `matches`: of the sampled faces, those whose neighbour is a match in a run."""

    old: Manifest
    new: Manifest
    photos: int = 0  # in both
    only_old: int = 0
    only_new: int = 0
    lost_photos: int = 0  # photos that lost a face
    gained_photos: int = 0
    paired: int = 0  # faces
    lost: int = 0
    gained: int = 0
    sampled: int = 0  # faces whose neighbours were compared
    moved: int = 0  # of them, with another neighbour
    moved_matches: int | None = None  # of those, a match before or after; None: not calibrated
    changed: list[Changed] = field(default_factory=list)  # the first SHOWN
    examples: list[Moved] = field(default_factory=list)  # those with the highest similarities


def diff(old: Path, new: Path, sample: int) -> Difference:
    """Compare two output folders; at most `sample` faces search their neighbours among all.

    In memory are some 100 bytes a face and a few thousand embeddings at a time.

    Raises BulkError if a folder can't be read, UsageError if they have no photo in common.
    """
    found = Difference(output.read_manifest(old), output.read_manifest(new))
    before, after = _photos(old), _photos(new)
    found.photos = len(before & after)
    found.only_old, found.only_new = len(before - after), len(after - before)
    if not found.photos:
        raise UsageError(f"{old} and {new} have no photo in common")
    sides = _faces(old), _faces(new)
    pairs, changed = _pair(*sides, before & after)
    found.paired = len(pairs)
    found.lost = sum(lost for lost, _ in changed.values())
    found.gained = sum(gained for _, gained in changed.values())
    found.lost_photos = sum(lost > 0 for lost, _ in changed.values())
    found.gained_photos = sum(gained > 0 for _, gained in changed.values())
    _compare(found, (old, new), sides, pairs, sample)
    names = _names((old, new), changed.keys())
    found.changed = [Changed(names[name], *changed[name]) for name in list(changed)[:SHOWN]]
    return found


def _photos(folder: Path) -> set[bytes]:
    """Return the keys of the photos that were answered; a failure says nothing about faces."""
    return {
        key(name)
        for path in output.parts(folder, output.PHOTOS)
        for batch in output.read(path, ["id", "code"])
        for name, code in zip(*(column.to_pylist() for column in batch.columns), strict=True)
        if code is None
    }


def _batches(folder: Path, columns: list[str]) -> Iterator[Any]:
    for path in output.parts(folder, "faces"):
        yield from output.read(path, columns)


def _faces(folder: Path) -> Faces:
    ids, numbers, boxes = [b""], [np.zeros(0, np.int32)], [np.zeros((0, 4), np.float32)]
    fit = [np.zeros(0, np.bool_)]
    for batch in _batches(folder, ["id", "face", "box", "gate"]):
        ids += map(key, batch[0].to_pylist())
        numbers.append(batch[1].to_numpy())
        boxes.append(batch[2].flatten().to_numpy().reshape(-1, 4))
        fit.append(batch[3].is_null().to_numpy(zero_copy_only=False))
    return Faces(
        np.frombuffer(b"".join(ids), np.dtype("V16")),
        np.concatenate(numbers),
        np.concatenate(boxes),
        np.concatenate(fit),
    )


def _by_photo(faces: Faces, photos: set[bytes]) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = {}
    for place, name in enumerate(faces.ids.tolist()):
        if name in photos:
            found.setdefault(name, []).append(place)
    return found


def _pair(
    old: Faces, new: Faces, photos: set[bytes]
) -> tuple[NDArray[np.int64], dict[bytes, tuple[int, int]]]:
    """Return places of the same faces [P,2], and by photo how many were lost and gained."""
    before, after = _by_photo(old, photos), _by_photo(new, photos)
    pairs: list[tuple[int, int]] = []
    changed: dict[bytes, tuple[int, int]] = {}
    for name in dict.fromkeys([*before, *after]):
        rows, columns = before.get(name, []), after.get(name, [])
        same = _same(old.boxes[rows], new.boxes[columns])
        pairs += [(rows[row], columns[column]) for row, column in same]
        if len(rows) != len(same) or len(columns) != len(same):
            changed[name] = (len(rows) - len(same), len(columns) - len(same))
    return np.array(pairs, np.int64).reshape(-1, 2), changed


def _same(old: NDArray[np.float32], new: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Pair boxes [A,4] and [B,4] one to one, the best overlap first."""
    overlap = iou(old, new)
    order = np.argsort(-overlap, axis=None, kind="stable")
    rows, columns = np.unravel_index(order, overlap.shape)
    pairs: dict[int, int] = {}
    taken = set()
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if overlap[row, column] < MIN_IOU:
            break
        if row not in pairs and column not in taken:
            pairs[row] = column
            taken.add(column)
    return list(pairs.items())


def _compare(
    found: Difference,
    folders: tuple[Path, Path],
    sides: tuple[Faces, Faces],
    pairs: NDArray[np.int64],
    sample: int,
) -> None:
    """Add whose nearest neighbour changed."""
    pairs = pairs[sides[0].fit[pairs[:, 0]] & sides[1].fit[pairs[:, 1]]]
    if len(pairs) < 2:
        return
    # The keys are hashes, so the lowest are a random sample, and the same one each time.
    ids = sides[0].ids[pairs[:, 0]]
    queries = np.argsort(ids.view("S16"), kind="stable")[:sample]
    blocks = [partial(_embeddings, folder) for folder in folders]
    both = [nearest(blocks[side], pairs[:, side], queries) for side in range(2)]
    found.sampled = len(queries)
    # Copies of a photo are equally near: then rounding decides, and nothing moved.
    still = similarities(blocks[1], pairs[:, 1], queries, both[0].places)
    moved = (both[0].places != both[1].places) & (both[1].similarities - still > TIE)
    found.moved = int(moved.sum())
    if found.old.calibration and found.new.calibration:
        thresholds = [manifest.calibration[2] for manifest in (found.old, found.new)
                      if manifest.calibration]  # fmt: skip
        match = np.any([one.similarities >= limit for one, limit in
                        zip(both, thresholds, strict=True)], axis=0)  # fmt: skip
        found.moved_matches = int((moved & match).sum())
    found.examples = _examples(folders, sides, pairs, queries, both, moved)


def _embeddings(folder: Path) -> Iterator[NDArray[np.float32]]:
    for batch in _batches(folder, ["embedding"]):
        flat: NDArray[np.float32] = batch[0].flatten().to_numpy()
        yield flat.reshape(len(batch), -1)


def _examples(
    folders: tuple[Path, Path],
    sides: tuple[Faces, Faces],
    pairs: NDArray[np.int64],
    queries: NDArray[np.int64],
    both: list[Neighbors],
    moved: NDArray[np.bool_],
) -> list[Moved]:
    best = np.maximum(both[0].similarities, both[1].similarities)
    chosen = [row for row in np.argsort(-best, kind="stable").tolist() if moved[row]][:SHOWN]

    def faces(side: int, row: int) -> tuple[bytes, int]:
        place = pairs[row, side]
        return sides[side].ids[place].tobytes(), int(sides[side].numbers[place])

    rows = [
        (faces(0, queries[row]), *(faces(side, both[side].places[row]) for side in range(2)))
        for row in chosen
    ]
    names = _names(folders, {name for row in rows for name, _ in row})
    return [
        Moved(
            (names[face[0]], face[1]),
            (names[old[0]], old[1]),
            round(float(both[0].similarities[row]), 4),
            (names[new[0]], new[1]),
            round(float(both[1].similarities[row]), 4),
        )
        for row, (face, old, new) in zip(chosen, rows, strict=True)
    ]


def _names(folders: tuple[Path, Path], wanted: Any) -> dict[bytes, str]:
    """Return the ids that keys stand for."""
    return {
        name: text
        for folder in folders
        for batch in _batches(folder, ["id"])
        for text in batch[0].to_pylist()
        if (name := key(text)) in wanted
    }
