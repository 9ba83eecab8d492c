"""`aurum validate finding`: measure detection and verification in unusual photos.

These are crowds, close-ups, very long and small photos, turned photos, and photos moved by a pixel.
All are made from photos `person/file.jpg` with one face each, so the truth is the service's own
answer for the unchanged photo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from aurum_client import AurumError, InvalidRequestError
from numpy.typing import NDArray

from aurum.evaluation import ValidationError, ask, boxes, lfw, verification
from aurum.evaluation.ask import Answer, Photo
from aurum.evaluation.photos import jpeg, rotated
from aurum.evaluation.target import Target
from aurum.evaluation.variants import QUALITY
from aurum.imaging.overlap import iou

Pixels = NDArray[np.uint8]
GRIDS = (8, 12, 16, 20)  # faces per row and column
SIZES = (640, 960, 1280)
LEAST = 32  # pixels of the detector's input: height of faces that should be found
SHARES = (0.5, 0.7, 0.85, 1.0, 1.1, 1.2)  # of the frame that a close-up's face fills
CLOSE_UPS, FRAME, PORTRAIT = 42, 1400, 100  # number, pixels, pixels
LONG = (12_000, 800)
LONG_FACES, LONG_FACE = 10, 110
SMALL = (24, 32, 40, 48, 64)  # the long sides of small photos
PEOPLE = 200
TURNS = (0, 90, 180, 270)
TILTS = (15, 30, 45, 60, 75)
MOVES = ((1, 1), (1, 3))  # pixels
FAR = 1e-3
GRAY = 128


@dataclass
class Table:
    """A section of the report."""

    title: str
    head: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yield its lines in Markdown."""
        yield from (f"## {self.title}", "")
        yield f"| {' | '.join(self.head)} |"
        yield f"| {' | '.join('---' for _ in self.head)} |"
        yield from (f"| {' | '.join(row)} |" for row in self.rows)
        yield ""


class Source:
    """Photos with one known face each, one per person, and the service under test."""

    def __init__(self, target: Target, folder: Path, out: Path) -> None:
        self.target = target
        self.folder = folder
        self.out = out
        people: dict[str, list[str]] = {}
        for name in lfw.images(folder):
            people.setdefault(lfw.person(name), []).append(name)
        # One photo of everyone, and two of those who have two.
        self.names = [files[0] for files in people.values()]
        self.pairs = [files[:2] for files in people.values() if len(files) > 1][:PEOPLE]
        self._boxes: dict[str, NDArray[np.float32]] = {}

    def pixels(self, name: str) -> Pixels:
        """Decode a photo as RGB."""
        photo = cv2.imread(str(self.folder / name), cv2.IMREAD_COLOR_RGB)
        if photo is None:
            raise ValidationError(f"{self.folder / name}: not a photo that can be decoded")
        return np.asarray(photo, np.uint8)

    def faces(self, count: int) -> list[str]:
        """Return `count` photos in which the service finds one face, evenly spread over people."""
        wanted = self.names[:: max(1, len(self.names) // (2 * count))]
        photos = [Photo(name, (self.folder / name).read_bytes) for name in wanted]
        for name, answer in self.ask(photos):
            if answer is not None and answer.faces == 1:
                self._boxes[name] = answer.boxes[0]
        return [name for name in wanted if name in self._boxes][:count]

    def box(self, name: str) -> NDArray[np.float32]:
        """Return the face's box in a photo that `faces` returned."""
        return self._boxes[name]

    def ask(
        self, photos: Sequence[Photo], *, embed: bool = False, **options: Any
    ) -> Iterator[tuple[str, Answer | None]]:
        """Yield each photo's answer; None if the service refused it."""
        for name, answer in ask.everything(self.target, photos, self.out, embed=embed, **options):
            yield name, None if isinstance(answer, AurumError) else answer


def run(target: Target, folder: Path, out: Path) -> list[Table]:
    """Return all sections of the report."""
    source = Source(target, folder, out)
    parts: Sequence[Callable[[Source], Table]] = (crowds, close_ups, long, small, turned, moved)
    return [part(source) for part in parts]


def report(tables: Sequence[Table], target: Target, source: str, command: str) -> str:
    """Return the report in Markdown."""
    lines = [
        f"# Every face of {source}",
        "",
        f"`{command}`",
        "",
        f"Detector `{target.detector}`, embedder `{target.embedder}`. A face counts as found if a "
        f"box has an IoU of at least {boxes.MIN_IOU} with the service's box in the original photo.",
        "",
    ]
    return "\n".join([*lines, *(line for table in tables for line in table.lines())])


def crowds(source: Source) -> Table:
    """Measure grids of faces in one photo of 1280 pixels."""
    table = Table(
        f"Crowds: found of all faces, and of those {LEAST} pixels high or more in the input",
        ("faces", *(f"at {size}" for size in SIZES), "at 640 in 4 tiles"),
    )
    for across in GRIDS:
        names = source.faces(across**2)
        photo, truth = _grid(source, names, across)
        cells: list[str] = []
        for size, options in (*((size, {}) for size in SIZES), (640, {"tiles": 4})):
            seen = truth[truth[:, 3] * size * (2 if options else 1) / 1280 >= LEAST]
            answer = _one(source, photo, detection_size=size, **options)
            cells.append(f"{_of(answer, truth)}; {_of(answer, seen) if len(seen) else '-'}")
        table.rows.append((str(len(names)), *cells))
    return table


def close_ups(source: Source) -> Table:
    """Measure faces that fill the frame, alone and with a small portrait in a corner."""
    names = source.faces(CLOSE_UPS + 1)
    portrait = cv2.resize(_around(source, names[-1], 1.4), (PORTRAIT, PORTRAIT))
    table = Table(
        f"Close-ups of {FRAME} pixels: found, and found as the largest",
        ("detection size", "", *(f"{share:.0%} of the frame" for share in SHARES)),
    )
    for size in SIZES:
        for what in ("alone", "with a portrait"):
            cells = []
            for share in SHARES:
                photos, truth = [], {}
                for name in names[:-1]:
                    photo, box = _close_up(source, name, share)
                    if what != "alone":
                        photo[10 : 10 + PORTRAIT, 10 : 10 + PORTRAIT] = portrait
                    truth[name] = box
                    photos.append(Photo(name, partial(jpeg, photo, QUALITY)))
                found = first = 0
                for name, answer in source.ask(photos, detection_size=size):
                    if answer is not None and answer.faces:
                        found += _found(answer, truth[name][None])
                        first += _found(answer, truth[name][None], slice(1))
                cells.append(f"{_share(found, len(photos))}, {_share(first, len(photos))}")
            table.rows.append((str(size), what, *cells))
    return table


def long(source: Source) -> Table:
    """Measure a wide panorama and a tall one."""
    table = Table(
        f"Long photos, with {LONG_FACES} faces of {LONG_FACE} pixels: found",
        ("pixels", *(f"at {size}" for size in SIZES[:2])),
    )
    names = source.faces(LONG_FACES)
    for width, height in (LONG, LONG[::-1]):
        photo = np.full((height, width, 3), GRAY, np.uint8)
        truth = []
        for index, name in enumerate(names):
            part, box = _around_with_box(source, name, 1.8)
            scale = LONG_FACE / box[3]
            part = cv2.resize(part, None, fx=scale, fy=scale)  # type: ignore[assignment]
            start = index * max(LONG) // LONG_FACES + 300
            left, top = (start, 250) if width > height else (250, start)
            photo[top : top + part.shape[0], left : left + part.shape[1]] = part
            truth.append(np.concatenate([(left, top) + box[:2] * scale, box[2:] * scale]))
        answers = [_one(source, photo, detection_size=size) for size in SIZES[:2]]
        found = (_of(answer, np.array(truth)) for answer in answers)
        table.rows.append((f"{width}x{height}", *found))
    return table


def small(source: Source) -> Table:
    """Measure photos with few pixels."""
    names = source.faces(PEOPLE)
    table = Table("Small photos: found", ("long side", "faces of", "found"))
    for side in SMALL:
        photos = [Photo(name, partial(_shrunk, source, name, side)) for name in names]
        found = sum(bool(answer and answer.faces) for _, answer in source.ask(photos))
        height = np.median([source.box(name)[3] for name in names]) * side / 250
        table.rows.append((f"{side} px", f"{height:.0f} px", _share(found, len(names))))
    return table


def turned(source: Source) -> Table:
    """Verify one person's photos with the second turned, and strangers' photos with both turned."""
    first = (source.folder / source.names[0]).read_bytes()
    threshold = source.target.thresholds(first)[FAR]
    table = Table(
        f"Turned photos of {len(source.pairs)} people at FAR 1e-3 ({threshold:.4f})",
        ("turned by", "no face", "verified", "strangers accepted"),
    )
    upright = _embeddings(source, [pair[0] for pair in source.pairs], 0)
    for degrees in sorted({*TURNS, *TILTS}):
        others = _embeddings(source, [pair[1] for pair in source.pairs], degrees)
        same = [
            one is not None and other is not None and float(one @ other) >= threshold
            for one, other in zip(upright, others, strict=True)
        ]
        known = np.array([vector for vector in others if vector is not None])
        across = (known @ known.T)[np.triu_indices(len(known), 1)]
        table.rows.append(
            (
                f"{degrees}°",
                _share(len(others) - len(known), len(others)),
                _share(sum(same), len(same)),
                f"{np.mean(across >= threshold):.2%}",
            )
        )
    return table


def moved(source: Source) -> Table:
    """Measure how embeddings change when photos move by a few pixels."""
    names = source.names[:: max(1, len(source.names) // 500)]
    table = Table(
        "Photos moved by pixels: cosine with the photo as it is",
        ("moved by", "median", "worst 5 %", "worst 1 %"),
    )
    still = _embeddings(source, names, 0)
    for x, y in MOVES:
        vectors = _embeddings(source, names, 0, (x, y))
        cosines = [
            float(one @ other)
            for one, other in zip(still, vectors, strict=True)
            if one is not None and other is not None
        ]
        figures = np.percentile(cosines, (50, 5, 1))
        table.rows.append((f"{x}, {y} px", *(f"{value:.4f}" for value in figures)))
    return table


def _embeddings(
    source: Source, names: Sequence[str], degrees: float, move: tuple[int, int] = (0, 0)
) -> list[NDArray[np.float32] | None]:
    """Return the central face's embedding in each photo after turning and moving the photo."""
    photos = [Photo(name, partial(_turn, source, name, degrees, move)) for name in names]
    found: dict[str, NDArray[np.float32]] = {}
    for name, answer in source.ask(photos, embed=True):
        index = None if answer is None else verification.central(answer)
        if answer is not None and index is not None:
            found[name] = answer.embeddings[index]
    return [found.get(name) for name in names]


def _turn(source: Source, name: str, degrees: float, move: tuple[int, int]) -> bytes:
    return jpeg(rotated(source.pixels(name), degrees, move), QUALITY)


def _shrunk(source: Source, name: str, side: int) -> bytes:
    return jpeg(
        cv2.resize(source.pixels(name), (side, side), interpolation=cv2.INTER_AREA), QUALITY
    )


def _grid(source: Source, names: Sequence[str], across: int) -> tuple[Pixels, NDArray[np.float64]]:
    cell = 1280 // across
    photo = np.full((1280, 1280, 3), GRAY, np.uint8)
    truth = []
    for index, name in enumerate(names):
        row, column = divmod(index, across)
        part, box = _around_with_box(source, name, 1.4)
        scale = cell / part.shape[0]
        left, top = column * cell, row * cell
        shrunk = cv2.resize(part, (cell, cell), interpolation=cv2.INTER_AREA)
        photo[top : top + cell, left : left + cell] = shrunk
        truth.append((left + box[0] * scale, top + box[1] * scale, box[2] * scale, box[3] * scale))
    return photo, np.array(truth)


def _around(source: Source, name: str, share: float) -> Pixels:
    return _around_with_box(source, name, share)[0]


def _around_with_box(source: Source, name: str, share: float) -> tuple[Pixels, NDArray[np.float64]]:
    """Cut out a square of `share` times the face's longer side, and return its box in it."""
    photo, box = source.pixels(name), source.box(name).astype(np.float64)
    side = round(float(box[2:].max()) * share)
    corner = np.round(box[:2] + box[2:] / 2 - side / 2)
    matrix = np.array([[1, 0, -corner[0]], [0, 1, -corner[1]]])
    part = cv2.warpAffine(photo, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(part, np.uint8), np.concatenate([box[:2] - corner, box[2:]])


def _close_up(source: Source, name: str, share: float) -> tuple[Pixels, NDArray[np.float64]]:
    """Scale a photo so that the face's longer side is `share` of the frame's."""
    photo, box = source.pixels(name), source.box(name).astype(np.float64)
    scale = FRAME * share / box[2:].max()
    corner = FRAME / 2 - scale * (box[:2] + box[2:] / 2)
    matrix = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
    image = cv2.warpAffine(
        photo, matrix, (FRAME, FRAME), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(image, np.uint8), np.concatenate([corner + scale * box[:2], scale * box[2:]])


def _one(source: Source, photo: Pixels, **options: Any) -> Answer | None:
    try:
        ((_, answer),) = source.ask([Photo("one", partial(jpeg, photo, QUALITY))], **options)
    except InvalidRequestError:  # an older service, which does not know the option
        return None
    return answer


def _found(
    answer: Answer | None,
    truth: NDArray[np.floating[Any]],
    of: slice = slice(None),
) -> int:
    """Count the boxes [T,4] that are found among the answer's."""
    if answer is None or not len(truth):
        return 0
    overlaps = iou(truth, answer.boxes[of])
    return int((overlaps.max(axis=1, initial=0) >= boxes.MIN_IOU).sum())


def _of(answer: Answer | None, truth: NDArray[np.floating[Any]]) -> str:
    """Format how many of the boxes an answer has, or that the service refused the request."""
    return "refused" if answer is None else _share(_found(answer, truth), len(truth))


def _share(count: int, of: int) -> str:
    return f"{count} of {of}" if of < 100 else f"{count / of:.1%}"
