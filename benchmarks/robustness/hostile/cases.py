"""The test cases: kind and request of case N of a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from benchmarks.robustness.hostile import (
    heif,
    jpeg,
    metadata,
    others,
    png,
    requests,
    strangers,
    webp,
)
from benchmarks.robustness.hostile.requests import Call

HEAVY = "heavy photos"
# Each kind with its frequency. Heavy photos cost one second of CPU time each.
IMAGES: dict[str, tuple[Callable[[Random], bytes], float]] = {
    "JPEG lengths": (jpeg.lengths, 3),
    "JPEG tables": (jpeg.tables, 4),
    "JPEG frame": (jpeg.frame, 4),
    "JPEG scan": (jpeg.scan, 4),
    "JPEG scans": (jpeg.scans, 2),
    "JPEG restarts": (jpeg.restarts, 3),
    "JPEG order": (jpeg.order, 3),
    "JPEG applications": (jpeg.applications, 4),
    "JPEG EXIF": (jpeg.with_exif, 5),
    "JPEG arithmetic": (jpeg.arithmetic, 1),
    "JPEG sampling": (jpeg.sampling, 2),
    "JPEG sizes": (jpeg.sizes, 2),
    "JPEG noise": (jpeg.noise, 6),
    "PNG header": (png.header, 3),
    "PNG payloads": (png.payloads, 4),
    "PNG checks": (png.checks, 3),
    "PNG order": (png.order, 3),
    "PNG packed": (png.packed, 4),
    "PNG bombs": (png.bombs, 1),
    "PNG animated": (png.animated, 2),
    "PNG palette": (png.palette, 3),
    "PNG EXIF": (png.with_exif, 3),
    "PNG noise": (png.noise, 4),
    "WebP lengths": (webp.lengths, 3),
    "WebP payloads": (webp.payloads, 5),
    "WebP order": (webp.order, 2),
    "WebP extended": (webp.extended, 3),
    "WebP EXIF": (webp.with_exif, 3),
    "WebP noise": (webp.noise, 4),
    "HEIF lengths": (heif.lengths, 2),
    "HEIF payloads": (heif.payloads, 4),
    "HEIF order": (heif.order, 1),
    "HEIF sizes": (heif.sizes, 2),
    "HEIF tiles": (heif.tiles, 2),
    "HEIF sequences": (heif.sequences, 1),
    "HEIF noise": (heif.noise, 3),
    "other formats": (others.formats, 4),
    "no image": (others.nothing, 3),
    "polyglots": (others.polyglots, 4),
    "base64": (others.encodings, 4),
    "extreme shapes": (others.shapes, 2),
    "promised pixels": (others.promises, 2),
    "floods": (others.floods, 1),
    "metadata": (metadata.any_of_any_size, 1),
    HEAVY: (others.heavy, 0.1),
}
REQUESTS: dict[str, tuple[Callable[[Random], Call], float]] = {
    "tensor shapes": (requests.shapes, 8),
    "tensor lengths": (requests.lengths, 8),
    "JSON": (requests.nesting, 6),
    "parameters": (requests.parameters, 8),
    "outputs": (requests.outputs, 4),
    "protobuf": (requests.protobuf, 10),
    "garbage": (requests.garbage, 1),
    # These target the gateway; Triton itself never receives them.
    "strangers": (strangers.paths, 2),
    "strangers' gRPC": (strangers.grpc_headers, 2),
    "wrong keys": (strangers.keys, 1),
    "leaving": (strangers.leaving, 2),
}
KINDS = (*IMAGES, *REQUESTS)
_WEIGHTS = [weight for table in (IMAGES, REQUESTS) for _, weight in table.values()]


@dataclass(frozen=True)
class Case:
    """One hostile request, reproducible from `number` and the seed."""

    number: int
    kind: str
    call: Call


def case(seed: int, number: int) -> Case:
    """Create case `number` of `seed`, always the same."""
    random = Random(f"{seed} {number}")
    kind = _kind(random)
    if kind in REQUESTS:
        return Case(number, kind, REQUESTS[kind][0](random))
    return Case(number, kind, requests.photo(random, IMAGES[kind][0](random)))


def kind(seed: int, number: int) -> str:
    """Return the kind of that case."""
    return _kind(Random(f"{seed} {number}"))


def _kind(random: Random) -> str:
    return random.choices(KINDS, _WEIGHTS)[0]
