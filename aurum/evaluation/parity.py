"""Compare the service with its upstream models, by client, protocol and number of requests.

Photos are sent as PNG at the detector's own size, so both sides see the same pixels, and decoding
and resizing make no difference. For the same reason the detector runs only once: no turned photos,
no second look, and a size that needs no second scale. Other tests cover all of that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from aurum_client import Analysis, AsyncFaceClient, AurumError
from numpy.typing import NDArray

from aurum.evaluation import boxes
from aurum.evaluation.photos import read
from aurum.evaluation.reference import OpenCv, Reference, Upstream
from aurum.evaluation.target import TIMEOUT, Target
from aurum.imaging.faces import WHOLE
from aurum.imaging.letterbox import fitted

CLIENTS = ("sync", "async")
# One pass of the detector, at the largest size that needs no second scale.
ONCE: dict[str, Any] = {"detection_size": WHOLE, "orientation": "exif", "refine": False}
LEAST_COSINE = 0.9999
LEAST_IOU = 0.95
MOST_PIXELS = 1.0  # distance of a landmark
# The service first shrinks faces more than twice the crop's size by area averaging, on purpose;
# the reference's bilinear warp skips pixels there, so those embeddings are not compared.
LARGEST_EYES = 2 * 35.24  # pixels between the eyes: twice the template's distance


class Row(NamedTuple):
    """Comparison of one way to call the service with one reference."""

    reference: str
    way: str
    faces: int  # of the reference
    unmatched: int  # faces that only one side has
    least_iou: float
    most_pixels: float  # largest distance of two landmarks; NaN if they can't be compared
    least_cosine: float  # NaN if the reference has no embeddings

    @property
    def same(self) -> bool:
        """Return whether everything is within the tolerances."""
        embeddings = np.isnan(self.least_cosine) or self.least_cosine >= LEAST_COSINE
        landmarks = np.isnan(self.most_pixels) or self.most_pixels <= MOST_PIXELS
        found = self.faces > 0 and not self.unmatched and self.least_iou >= LEAST_IOU
        return bool(found and landmarks and embeddings)


def prepare(paths: Sequence[Path], side: int) -> tuple[dict[str, NDArray[np.uint8]], list[bytes]]:
    """Resize the photos to the detector's size; return them by name, and each as PNG."""
    photos = {}
    for path in paths:
        photo = read(path)
        longest = max(photo.shape[:2])
        scale = fitted(longest, side) / longest
        if scale != 1:
            size = [max(1, round(length * scale)) for length in photo.shape[1::-1]]
            photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        photos[str(path)] = photo
    return photos, [
        cv2.imencode(".png", photo[..., ::-1])[1].tobytes() for photo in photos.values()
    ]


def compare(
    name: str, way: str, references: Sequence[Reference], answers: Sequence[Analysis]
) -> Row:
    """Return the worst values over all faces of all photos."""
    faces = unmatched = 0
    overlaps, pixels, cosines = [], [], []
    for wanted, answer in zip(references, answers, strict=True):
        match = boxes.match(wanted.boxes, answer.boxes, np.empty((0, 4)))
        faces += len(wanted.boxes)
        unmatched += len(match.missed) + len(match.extra)
        overlaps += match.overlaps.tolist()
        for one, other in match.pairs:
            points = wanted.landmarks[one]
            if not points.size:
                continue
            shift = np.linalg.norm(points - answer.landmarks[other], axis=1)
            pixels.append(float(shift.max()))
            eyes = float(np.linalg.norm(points[0] - points[1]))
            if wanted.embeddings.size and eyes < LARGEST_EYES:
                cosines.append(float(wanted.embeddings[one] @ answer.embeddings[other]))
    return Row(
        name,
        way,
        faces,
        unmatched,
        min(overlaps, default=0.0),
        max(pixels, default=np.nan),
        min(cosines, default=np.nan),
    )


def ask(
    target: Target, index: int, client: str, data: Sequence[bytes], batch: int
) -> list[Analysis]:
    """Analyze every photo, with `batch` requests in flight at a time."""
    if client == "sync":
        with target.client(index) as sync:
            if batch == 1:
                return [sync.analyze(photo, **ONCE) for photo in data]
            answers = sync.analyze_many(data, concurrency=batch, **ONCE)
            return [_sound(answer) for answer in answers]

    async def gather() -> list[Analysis]:
        async with AsyncFaceClient(target.urls[index], timeout=TIMEOUT) as asynchronous:
            answers = await asynchronous.analyze_many(data, concurrency=batch, **ONCE)
        return [_sound(answer) for answer in answers]

    return asyncio.run(gather())


def _sound(answer: Analysis | AurumError) -> Analysis:
    if isinstance(answer, AurumError):
        raise answer
    return answer


def run(target: Target, paths: Sequence[Path], batches: Sequence[int]) -> list[Row]:
    """Compare every client, address and number of requests in flight with every reference."""
    photos, data = prepare(paths, WHOLE)
    wanted: Mapping[str, list[Reference]] = {
        "onnxruntime": [Upstream(target)(photo) for photo in photos.values()],
    }
    if target.detector.startswith("yunet"):
        detector = OpenCv(target.settings)
        wanted = {**wanted, "FaceDetectorYN": [detector(photo) for photo in photos.values()]}
    rows = []
    for index, url in enumerate(target.urls):
        for client in CLIENTS:
            for batch in batches:
                # With fewer photos than requests, send each photo several times; all answers count.
                times = -(-batch // len(data))
                answers = ask(target, index, client, data * times, batch)
                way = f"{client}, {url.split('://')[0]}, {batch} at a time"
                rows += [
                    compare(name, way, references * times, answers)
                    for name, references in wanted.items()
                ]
    return rows


def report(rows: Sequence[Row], target: Target, photos: int, command: str) -> str:
    """Return the report in Markdown."""
    lines = [
        "# Parity with the upstream models",
        "",
        f"`{command}`",
        "",
        f"Detector `{target.detector}`, embedder `{target.embedder}`, {photos} photos. Required: "
        f"the same faces, IoU >= {LEAST_IOU}, landmarks within {MOST_PIXELS:g} px, cosine >= "
        f"{LEAST_COSINE}.",
        "",
        "| reference | client | faces | unmatched | least IoU | landmarks, at most px | "
        "least cosine | same |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cosine = "-" if np.isnan(row.least_cosine) else f"{row.least_cosine:.6f}"
        pixels = "-" if np.isnan(row.most_pixels) else f"{row.most_pixels:.3f}"
        lines.append(
            f"| {row.reference} | {row.way} | {row.faces} | {row.unmatched} | "
            f"{row.least_iou:.5f} | {pixels} | {cosine} | "
            f"{'yes' if row.same else '**no**'} |"
        )
    return "\n".join([*lines, ""])
