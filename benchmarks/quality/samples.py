"""Photos of people, degraded reproducibly from a seed."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aurum.evaluation import degrade
from aurum.evaluation.lfw import SEED
from aurum.quality import parts, pose
from aurum.quality.weights import FITTED

VERSIONS = 4  # of each photo: one untouched, three degraded
TWO_KINDS = 0.25  # share of degraded photos with two kinds of degradation instead of one


class Sample(NamedTuple):
    """An encoded photo, its degradations, and the expected position of the person's face."""

    image: bytes
    kinds: tuple[str, ...]  # empty: the original
    severities: tuple[float, ...]
    centre: NDArray[np.float64]  # [2] pixels
    reach: float  # pixels; a box whose centre is farther away shows something else


def digest(jobs: Sequence[tuple[str, int]]) -> str:
    """Return a digest of photos, versions, and the code that degrades and measures them."""
    text = repr((SEED, list(jobs), FITTED.mean_face)).encode()
    for source in (__file__, degrade.__file__, parts.__file__, pose.__file__):
        text += Path(source).read_bytes()
    return hashlib.sha256(text).hexdigest()[:16]


def sample(folder: Path, name: str, version: int) -> Sample:
    """Create a version of a photo: 0 is the original file, the others are degraded.

    They have one kind of degradation, with uniform kind and severity in 0..1; a quarter has two,
    each of at most 0.6. They are encoded as PNG, which is lossless.
    """
    data = (folder / name).read_bytes()
    photo = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    height, width = photo.shape[:2]
    left, top, right, bottom = degrade.FACE
    centre = np.array([(left + right) / 2 * width, (top + bottom) / 2 * height])
    reach = (bottom - top) * height / 2
    if version == 0:
        return Sample(data, (), (), centre, reach)
    random = np.random.default_rng([SEED, version, zlib.crc32(Path(name).name.encode())])
    two = random.random() < TWO_KINDS
    names = list(degrade.KINDS)
    kinds = tuple(names[index] for index in sorted(random.choice(len(names), 1 + two, False)))
    severities = tuple(random.uniform(0, 0.6 if two else 1, len(kinds)).tolist())
    for kind, severity in zip(kinds, severities, strict=True):
        photo, moved = degrade.KINDS[kind](np.ascontiguousarray(photo), severity, random)
        centre = moved @ (*centre, 1)
        reach *= np.sqrt(np.linalg.det(moved[:, :2]))
    image = cv2.imencode(".png", photo[..., ::-1])[1].tobytes()
    return Sample(image, kinds, severities, centre, float(reach))
