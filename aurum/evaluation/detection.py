"""Evaluate detection against known faces: in annotated photos, and in hard variants of them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
from aurum_client import AurumError
from numpy.typing import NDArray

from aurum.evaluation import ValidationError, ask, boxes, photos, roc
from aurum.evaluation.annotations import Marked
from aurum.evaluation.ask import Answer, Photo
from aurum.evaluation.target import Target
from aurum.evaluation.variants import Scene

T = TypeVar("T")

# Without annotations, the service's own detections in the untouched photos are the truth: those
# with a high score that no border cuts must be found in every variant; others count neither way.
SURE, DOUBTFUL = 0.8, 0.3
MIN_HEIGHT = 60  # pixels of a face that variants are made of: they can't add detail
HEIGHTS = (0, 16, 32, 64, 128, np.inf)  # pixels: recall is shown for each range of face heights


@dataclass
class Tally:
    """Detections in a set of photos, counted as right or wrong."""

    name: str
    photos: int = 0
    refused: int = 0  # photos that the service answered with an error
    extra: int = 0  # false positives
    heights: list[float] = field(default_factory=list)  # of every face to be found, pixels
    found: list[bool] = field(default_factory=list)  # parallel to heights
    overlaps: list[float] = field(default_factory=list)  # IoU of each found face
    errors: list[float] = field(default_factory=list)  # landmark error, if landmarks are annotated
    by_photo: list[tuple[str, int, int, int]] = field(
        default_factory=list
    )  # photo, faces, found, extra

    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)  # of the first face
    likeness: list[float] = field(default_factory=list)  # cosine with the untouched photo's face

    def add(self, photo: str, marked: Marked, answer: Answer | AurumError) -> None:
        """Count the answer for one photo. An error counts as no detections."""
        faces, found, extra = len(self.found), sum(self.found), self.extra
        self._count(photo, marked, answer)
        gained = len(self.found) - faces, sum(self.found) - found, self.extra - extra
        self.by_photo.append((photo, *gained))

    def compare(self, untouched: Tally) -> None:
        """Set `likeness` from the photos that have an embedding here and in `untouched`."""
        self.likeness = [
            float(vector @ untouched.vectors[photo])
            for photo, vector in self.vectors.items()
            if photo in untouched.vectors
        ]

    def _count(self, photo: str, marked: Marked, answer: Answer | AurumError) -> None:
        self.photos += 1
        truth = marked.boxes[~marked.ignore]
        self.heights += truth[:, 3].tolist()
        if isinstance(answer, AurumError):
            self.refused += 1
            self.found += [False] * len(truth)
            return
        # Annotators and detectors treat the part of a face beyond the frame differently.
        size = (float(answer.image_size[0]), float(answer.image_size[1]))
        match = boxes.match(
            boxes.clip(truth, *size),
            boxes.clip(answer.boxes, *size),
            boxes.clip(marked.boxes[marked.ignore], *size),
        )
        hit = np.isin(np.arange(len(truth)), match.pairs[:, 0])
        self.found += hit.tolist()
        self.extra += len(match.extra)
        self.overlaps += match.overlaps.tolist()
        points = marked.landmarks[~marked.ignore]
        if len(match.pairs) and answer.embeddings.shape[1]:
            self.vectors[photo] = answer.embeddings[match.pairs[0, 1]]
        for face, detection in match.pairs:
            if not np.isnan(points[face]).any():
                error = boxes.landmark_error(points[face], answer.landmarks[detection])
                self.errors.append(error)

    @property
    def recall(self) -> float:
        """Share of the annotated faces that were found; NaN if there are none."""
        return float(np.mean(self.found)) if self.found else float("nan")

    @property
    def precision(self) -> float:
        """Share of the detections that are right; NaN if there are none."""
        right = sum(self.found)
        return right / (right + self.extra) if right + self.extra else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the recall."""
        return roc.wilson(sum(self.found), len(self.found))

    def row(self) -> list[str]:
        """Return the cells of the report's row."""
        low, high = self.interval
        overlap = f"{np.mean(self.overlaps):.3f}" if self.overlaps else "-"
        error = f"{np.median(self.errors):.3f}" if self.errors else "-"
        return [
            self.name,
            str(len(self.found)),
            f"{self.recall:.1%} ({low:.1%}-{high:.1%})" if self.found else "-",
            str(self.extra),
            f"{self.extra / max(1, self.photos):.3f}",
            f"{self.precision:.1%}" if sum(self.found) + self.extra else "-",
            overlap,
            error,
        ]


COLUMNS = (
    "what", "faces", "recall (95 %)", "false positives", "per photo", "precision", "mean IoU",
    "median landmark error",
)  # fmt: skip


def table(tallies: Iterable[Tally], *, likeness: bool = False) -> list[str]:
    """Return the lines of a Markdown table; `likeness` adds its median and 5 % quantile."""
    columns = [*COLUMNS, *(["likeness, median (5 %)"] if likeness else [])]
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for tally in tallies:
        row = tally.row()
        if likeness:
            low, middle = np.quantile(tally.likeness or [np.nan], [0.05, 0.5])
            row.append(f"{middle:.2f} ({low:.2f})" if tally.likeness else "-")
        lines.append(f"| {' | '.join(row)} |")
    return lines


def save(tallies: Sequence[Tally], path: Path) -> None:
    """Write the figures as CSV, and those of each photo to `*_photos.csv`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["what", "photos", "refused", "faces", "found", "extra", "mean_iou", "median_error"]
        )
        for item in tallies:
            overlap = np.mean(item.overlaps) if item.overlaps else np.nan
            error = np.median(item.errors) if item.errors else np.nan
            counts = (item.photos, item.refused, len(item.found), sum(item.found), item.extra)
            writer.writerow([item.name, *counts, f"{overlap:.4f}", f"{error:.4f}"])
    with path.with_stem(f"{path.stem}_photos").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["what", "photo", "faces", "found", "extra"])
        writer.writerows([item.name, *photo] for item in tallies for photo in item.by_photo)


def evaluate(target: Target, folder: Path, marked: Mapping[str, Marked], out: Path) -> list[Tally]:
    """Evaluate annotated photos: a tally of all faces, then one for each range of heights."""
    missing = [name for name in marked if not (folder / name).is_file()]
    if missing:
        raise ValidationError(f"{folder}: {len(missing)} photos are missing, first {missing[0]}")
    photos = [Photo(name, (folder / name).read_bytes) for name in marked]
    whole = Tally("all faces")
    for name, answer in ask.everything(target, photos, out):
        whole.add(name, marked[name], answer)
    heights, found = np.array(whole.heights), np.array(whole.found, bool)
    ranges = []
    for low, high in pairwise(HEIGHTS):
        own = (heights >= low) & (heights < high)
        name = f"{low} px or higher" if high == np.inf else f"{low} to {high} px high"
        # A false positive belongs to no range, so these have only a recall.
        ranges.append(Tally(name, heights=heights[own].tolist(), found=found[own].tolist()))
    return [whole, *ranges]


def report(tallies: Sequence[Tally], target: Target, source: str, command: str) -> str:
    """Return the report in Markdown."""
    return "\n".join(
        [
            f"# Detection: {source}",
            "",
            f"`{command}`",
            "",
            f"Detector `{target.detector}`, through `detect_faces` with its defaults, "
            f"{tallies[0].photos} photos, {tallies[0].refused} refused. A face is found where the "
            f"IoU, within the frame, is at least {boxes.MIN_IOU}.",
            "",
            *table(tallies[:1]),
            "",
            "| height of the face | faces | recall (95 %) |",
            "| --- | --- | --- |",
            *(f"| {' | '.join(item.row()[:3])} |" for item in tallies[1:]),
            "",
        ]
    )


def spread(names: Sequence[T], count: int) -> list[T]:
    """Select at most `count` names, evenly spaced, the same ones in every run."""
    index = np.linspace(0, len(names) - 1, min(count, len(names))).round().astype(int)
    return [names[place] for place in index]


def own_truth(target: Target, folder: Path, names: Sequence[str], out: Path) -> dict[str, Marked]:
    """Return the service's detections in untouched photos, as the truth for their variants."""
    photos = [Photo(name, (folder / name).read_bytes) for name in names]
    found = {}
    for name, answer in ask.everything(target, photos, out, min_confidence=DOUBTFUL):
        if isinstance(answer, Answer):
            found_boxes = answer.boxes.astype(np.float64)
            size = (float(answer.image_size[0]), float(answer.image_size[1]))
            is_cut = (boxes.clip(found_boxes, *size) != found_boxes).any(axis=1)
            found[name] = Marked(
                found_boxes, answer.landmarks.astype(np.float64), (answer.scores < SURE) | is_cut
            )
    return found


def faces(folder: Path, marked: Mapping[str, Marked], limit: int) -> list[tuple[str, int]]:
    """Select at most `limit` large enough faces (photo, index), spread evenly over the photos."""
    every = [
        (name, int(index))
        for name, own in marked.items()
        for index in np.flatnonzero(~own.ignore & (own.boxes[:, 3] >= MIN_HEIGHT))
    ]
    if not every:
        raise ValidationError(f"{folder}: no face is at least {MIN_HEIGHT} pixels high")
    return spread(every, limit)


def scene(folder: Path, name: str, marked: Marked, index: int) -> Scene:
    """Decode a photo like the service, and mark all its faces but one as ignored."""
    others = np.arange(len(marked.boxes)) != index
    photo = photos.read(folder / name)
    return Scene(photo, marked._replace(ignore=others), index)
