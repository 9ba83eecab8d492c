"""Compare decoding at reduced size with full decoding: answers and times, in process, one thread.

    .venv/bin/python -m benchmarks reduced --photos ../shared/photos \\
        --lfw ../shared/datasets/lfw --out docs/reports/performance/reduced

Photos are enlarged, get mild camera noise, and are encoded as JPEG of quality 90. The effect of
other noise under full decoding is the yardstick for the effect of reducing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
from numpy.typing import NDArray

from aurum.evaluation import lfw, photos, roc
from aurum.evaluation.boxes import match
from aurum.imaging.decoding.decode import FACTORS
from aurum.models import build
from aurum.paths import PHOTO
from aurum.pipeline import find, look
from aurum.pipeline.assessment import assess_quality
from aurum.pipeline.embed import embed_crops
from aurum.quality.parts import PARTS
from aurum.settings import Settings
from benchmarks.baselines.local import LocalService
from benchmarks.baselines.plain import Analysis
from benchmarks.robustness.hostile.image_bytes import oriented

FULL, LIMITS = 1, (2, 4, 8)  # largest allowed factor
PHOTOS_WIDE, LFW_WIDE = (2048, 3000, 4000, 6000), 3000  # pixels of the longer side
FINE = 1280  # the detector's input size for the truth, in the original photo
NOISE, JPEG_QUALITY = 2, 90  # gray levels
WIDTHS = {1: 1152, 3: 2048, 12: 4000, 24: 5664}  # by megapixels, 4:3
RICH = 6, 95  # noise and quality of an especially large file
ROUNDS = 9

Pixels = NDArray[np.uint8]
Row = dict[str, Any]


def enlarged(
    photo: Pixels, long_side: int, seed: int = 0, noise: int = NOISE, quality: int = JPEG_QUALITY
) -> bytes:
    """Enlarge the photo as if a camera with more pixels had taken it."""
    scale = long_side / max(photo.shape[:2])
    large = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    noisy = cv2.add(large, _noise(large.shape, seed, noise), dtype=cv2.CV_8U)
    return cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


@lru_cache(1)
def _noise(shape: tuple[int, ...], seed: int, spread: int) -> NDArray[np.int16]:
    noise = np.zeros(shape, np.int16)
    cv2.setRNGSeed(seed)
    cv2.randn(noise, 0, spread)  # type: ignore[call-overload]
    return noise


def find_and_cut(
    service: LocalService, data: bytes, limit: int
) -> tuple[find.DetectedFaces, Pixels]:
    """Find the faces and cut their crops, with a factor of at most `limit`."""
    with mock.patch.object(look, "FACTORS", [f for f in (*LIMITS[::-1], FULL) if f <= limit]):
        found = service.find(data)
        return found, found.crops()


def analyze(service: LocalService, data: bytes, limit: int) -> tuple[Analysis, int]:
    """Return the answer, and the factor of the detector's photo."""
    found, crops = find_and_cut(service, data, limit)
    embedded = embed_crops(crops, service.models.embed)
    answer = Analysis(found.faces, embedded.embeddings, assess_quality(found, crops, embedded))
    return answer, found.photo.factor


def compare(one: Analysis, other: Analysis, scale: float = 1) -> Iterator[Row]:
    """Yield a row per face of either; `scale`: pixels in `other`'s photo per one in `one`'s."""
    pairs = match(one.faces.boxes * scale, other.faces.boxes, np.zeros((0, 4)))
    yield from ({"face": "missed"} for _ in pairs.missed)
    yield from ({"face": "extra"} for _ in pairs.extra)
    for (a, b), overlap in zip(pairs.pairs, pairs.overlaps, strict=True):
        here, there = one.assessment, other.assessment
        parts = dict(zip(PARTS, there.parts[b] - here.parts[a], strict=True))
        cosine = one.embeddings[a] @ other.embeddings[b]
        row = {"face": "same", "iou": overlap, "cosine": cosine}
        yield row | {"quality": there.quality[b] - here.quality[a]} | parts


def summary(rows: Sequence[Row]) -> Row:
    """Count matching faces, and summarize differences: signed mean, median, worst 1 %, worst."""
    same = [row for row in rows if row["face"] == "same"]
    result: Row = {"faces": len(same)}
    for what in ("missed", "extra"):
        result[what] = sum(row["face"] == what for row in rows)
    for name in ("iou", "cosine", "quality", *PARTS):
        values = np.array([row[name] for row in same])
        likeness = name in ("iou", "cosine")
        off = 1 - values if likeness else abs(values)
        worst = [np.median(off), np.quantile(off, 0.99), off.max()]
        result[name] = [values.mean(), *(1 - value if likeness else value for value in worst)]
    return result


def group_photos(service: LocalService, settings: Settings, folder: Path) -> Iterator[Row]:
    """Compare every photo, size and factor with full decoding and with the truth."""
    fine = LocalService(build.prepare(settings).graphs, replace(settings, detection_size=FINE))
    for path, long_side in itertools.product(sorted(folder.iterdir()), PHOTOS_WIDE):
        photo = _read(path)
        truth, _ = analyze(fine, path.read_bytes(), FULL)
        data = enlarged(photo, long_side)
        full, _ = analyze(service, data, FULL)
        answers = {"full": full}
        answers["full, other noise"], _ = analyze(service, enlarged(photo, long_side, 1), FULL)
        for limit in LIMITS:
            answer, factor = analyze(service, data, limit)
            if factor == limit:
                answers[f"1/{factor}"] = answer
        for (how, answer), (against, known) in itertools.product(
            answers.items(), (("full", full), ("truth", truth))
        ):
            scale = long_side / max(photo.shape[:2]) if against == "truth" else 1
            for row in compare(known, answer, scale):
                yield {"case": f"{long_side} px, {how}, against {against}"} | row


def verification(service: LocalService, folder: Path, each: int) -> Row:
    """Compute LFW's accuracy, full and reduced, on `each` pairs per set and kind."""
    pairs = [
        pair
        for _, group in itertools.groupby(
            lfw.read_pairs(folder / "pairs_dev.txt"), lambda pair: (pair.fold, pair.same)
        )
        for pair in itertools.islice(group, each)
    ]
    rows: list[Row] = []
    known: dict[str, dict[str, NDArray[np.float32]]] = {"full": {}, "reduced": {}}
    for name in sorted({name for pair in pairs for name in (pair.a, pair.b)}):
        data = enlarged(_read(folder / "images" / name), LFW_WIDE)
        full, _ = analyze(service, data, FULL)
        reduced, _ = analyze(service, data, FACTORS[0])
        known["full"][name], known["reduced"][name] = _central(full), _central(reduced)
        rows += compare(full, reduced)
    same, folds = (np.array([getattr(pair, what) for pair in pairs]) for what in ("same", "fold"))
    result: Row = {"pairs": len(pairs), "photos": len(known["full"]), "faces": summary(rows)}
    for how, embeddings in known.items():
        scores = np.array([embeddings[pair.a] @ embeddings[pair.b] for pair in pairs])
        result[how] = {
            "accuracy": roc.cross_validate(scores, same, folds).mean,
            "TAR at FAR 1e-3": roc.tar_at_far(scores, same, 1e-3).tar,
        }
    return result


def times(service: LocalService) -> Row:
    """Measure milliseconds to find faces and cut crops, by the largest factor, interleaved."""
    sheets = {count: _decode(data) for count, data in photos.tiled(PHOTO, (0, 36)).items()}
    shown = {
        "a large face": _read(PHOTO),
        "small faces": sheets[36],
        "tiny faces": np.tile(sheets[36], (2, 2, 1)),
        "no face": sheets[0],
    }
    cases = [*itertools.product(WIDTHS, shown, [(NOISE, JPEG_QUALITY)])]
    cases += itertools.product([12], shown, [RICH])
    result: Row = {}
    for megapixels, what, (noise, quality) in cases:
        square = shown[what]
        # Upright, but stored on its side, as phones do.
        turned = np.ascontiguousarray(np.rot90(np.vstack([square, square[: len(square) // 3]])))
        plain = enlarged(turned, WIDTHS[megapixels], noise=noise, quality=quality)
        data = oriented(plain, 6)
        taken: dict[int, list[float]] = {limit: [] for limit in (FULL, *LIMITS)}
        for index in range(ROUNDS + 1):
            for limit in sorted(taken, reverse=bool(index % 2)):
                begun = time.perf_counter()
                _, crops = find_and_cut(service, data, limit)
                taken[limit].append((time.perf_counter() - begun) * 1e3)
        full = np.array(taken[FULL][1:])
        case: Row = {"faces": len(crops), "full": [np.median(full)]}
        for limit in LIMITS:  # milliseconds; median, minimum, maximum of the rounds' ratios
            ratios = np.array(taken[limit][1:]) / full
            spread = np.median(ratios), ratios.min(), ratios.max()
            case[f"to 1/{limit}"] = [np.median(taken[limit][1:]), *spread]
        result[f"{megapixels} megapixels, {len(data) / 1e6:.1f} MB, {what}"] = case
    return result


def _read(path: Path) -> Pixels:
    return _decode(path.read_bytes())


def _decode(data: bytes) -> Pixels:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def _central(answer: Analysis) -> NDArray[np.float32]:
    """Return the embedding of the face nearest to the centre, LFW's convention."""
    boxes = answer.faces.boxes
    far = np.linalg.norm(boxes[:, :2] + boxes[:, 2:] / 2 - LFW_WIDE / 2, axis=1)
    return np.asarray(answer.embeddings[far.argmin()])


def _save(path: Path, cases: Row) -> None:
    """Write one line per case, with five digits."""
    lines = [f"{json.dumps(key)}: {json.dumps(_short(case))}" for key, case in cases.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value]
    return float(f"{value:.5g}") if isinstance(value, float | np.floating) else value


def main() -> None:
    """Write photos.json, lfw.json and times.json, as requested."""
    parser = argparse.ArgumentParser(description="compare reduced with full decoding")
    parser.add_argument("--photos", type=Path, help="folder of photos with faces")
    parser.add_argument("--lfw", type=Path, help="folder with LFW's images/ and pairs_dev.txt")
    parser.add_argument("--pairs", type=int, default=300, help="pairs per LFW set and kind")
    parser.add_argument("--times", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    settings = Settings.from_env()
    service = LocalService(build.prepare(settings).graphs, settings)
    if asked.photos:
        rows = list(group_photos(service, settings, asked.photos))
        keys = dict.fromkeys(row["case"] for row in rows)
        cases = {key: summary([row for row in rows if row["case"] == key]) for key in keys}
        _save(asked.out / "photos.json", cases)
    if asked.lfw:
        _save(asked.out / "lfw.json", verification(service, asked.lfw, asked.pairs))
    if asked.times:
        _save(asked.out / "times.json", times(service))
