"""Photos that are hard or impossible to recognize: degraded faces, by kind and severity."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import skimage
from PIL import Image

from aurum.evaluation import ValidationError, degrade, lfw
from aurum.evaluation.degrade import Photo
from aurum.evaluation.lfw import SEED
from aurum.evaluation.photos import rotated

Degrade = Callable[[Photo, np.random.Generator], Photo]

FARS = (1e-3, 1e-4)  # at which false matches are counted
NO_FACE = "no face"
# At a low minimum score, the detector finds faces where there are none.
UNSURE = 0.1
CROPS = 60  # per picture without a face
# Pictures without a face in scikit-image's wheel.
PICTURES = (
    "brick.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png", "coins.png",
    "grass.png", "gravel.png", "horse.png", "hubble_deep_field.jpg", "ihc.png",
    "microaneurysms.png", "moon.png", "motorcycle_left.png", "page.png", "retina.jpg",
    "rocket.jpg", "text.png",
)  # fmt: skip


class Item(NamedTuple):
    """A photo, and whose face it shows: two photos of one owner are not a pair of strangers."""

    name: str
    owner: str
    load: Callable[[], bytes]


def _by(kind: str, severity: float) -> Degrade:
    """Apply one of `degrade`'s kinds; here the severity may exceed 1."""
    return lambda photo, random: degrade.KINDS[kind](photo, severity, random).photo


def _turned(degrees: int) -> Degrade:
    return lambda photo, random: rotated(photo, degrees)


def _within(value: float, mild: float, strong: float) -> float:
    """Return the severity of a value on a logarithmic scale from `mild` (0) to `strong` (1)."""
    return math.log(value / mild) / math.log(strong / mild)


# By kind and severity; the functions in `degrade` define the ranges.
KINDS: Mapping[str, Mapping[str, Degrade]] = {
    "blurred": {
        f"sigma {sigma} px": _by("blur", (sigma - 0.5) / 4.5) for sigma in (2, 3, 4, 5, 6, 8)
    },
    "moved": {f"{length} px": _by("motion", (length - 3) / 14) for length in (8, 12, 16, 24)},
    "dark": {
        f"{light:g} % of the light": _by("dark", _within(light, 50, 4))
        for light in (20, 10, 5, 4, 3)
    },
    "overexposed": {f"{light} times": _by("bright", _within(light, 1.3, 3.5)) for light in (2, 3)},
    "in fog": {
        f"{share} % of the contrast": _by("flat", _within(share, 60, 6)) for share in (30, 10)
    },
    "noisy": {f"sigma {sigma}": _by("noise", (sigma - 5) / 45) for sigma in (20, 40, 80)},
    "low resolution": {
        f"{share} % of the size": _by("small", _within(share, 70, 12))
        for share in (40, 30, 20, 15, 10)
    },
    "JPEG": {f"quality {quality}": _by("jpeg", _within(quality, 30, 3)) for quality in (10, 5)},
    "turned": {f"by {degrees}°": _turned(degrees) for degrees in (20, 45, 90, 180)},
}


def items(folder: Path, names: Sequence[str], kind: str, severity: str) -> list[Item]:
    """Return degraded photos `names` (person/file.jpg in `folder`), or pictures without a face."""
    if kind == NO_FACE:
        return list(_pictures())
    return [
        Item(name, lfw.person(name), partial(_degraded, folder / name, KINDS[kind][severity]))
        for name in names
    ]


def every() -> Iterator[tuple[str, str]]:
    """Yield all kinds and severities."""
    for kind, severities in KINDS.items():
        yield from ((kind, severity) for severity in severities)
    yield NO_FACE, ""


def _degraded(path: Path, apply: Degrade) -> bytes:
    random = np.random.default_rng([SEED, zlib.crc32(path.name.encode())])
    photo = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if photo is None:
        raise ValidationError(f"{path}: not a photo that can be decoded")
    return _png(apply(np.asarray(photo, np.uint8), random))


def _pictures() -> Iterator[Item]:
    """Yield random squares of 60..300 pixels from each picture."""
    for picture in PICTURES:
        path = Path(skimage.__file__).parent / "data" / picture
        width, height = Image.open(path).size
        random = np.random.default_rng([SEED, zlib.crc32(picture.encode())])
        for index in range(CROPS):
            side = int(random.integers(60, min(300, height, width)))
            left, top = (int(random.integers(0, extent - side + 1)) for extent in (width, height))
            part = np.s_[top : top + side, left : left + side]
            yield Item(f"{picture} {index}", picture, partial(_cut, path, part))


def _cut(path: Path, part: tuple[slice, slice]) -> bytes:
    # Not OpenCV, whose libpng warns about these files' colour profiles.
    return _png(np.asarray(Image.open(path).convert("RGB"))[part])


def _png(photo: Photo) -> bytes:
    return cv2.imencode(".png", photo[..., ::-1])[1].tobytes()
