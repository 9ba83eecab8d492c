"""Photos of people, spoilt in a way that a seed decides, so that every run makes the same ones."""

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

VERSIONS = 4  # of each photo: untouched, and three times spoilt
TWO_KINDS = 0.25  # the share of spoilt photos with two kinds of degradation instead of one


class Sample(NamedTuple):
    """An encoded photo, what was done to it, and where the person's face must be."""

    image: bytes
    kinds: tuple[str, ...]  # empty: as LFW has it
    severities: tuple[float, ...]
    centre: NDArray[np.float64]  # [2] pixels
    reach: float  # pixels: a box whose centre is farther off than this shows something else


def digest(jobs: Sequence[tuple[str, int]]) -> str:
    """Names photos and versions as this very code spoils and measures them."""
    text = repr((SEED, list(jobs), FITTED.mean_face)).encode()
    for source in (__file__, degrade.__file__, parts.__file__, pose.__file__):
        text += Path(source).read_bytes()
    return hashlib.sha256(text).hexdigest()[:16]


def sample(folder: Path, name: str, version: int) -> Sample:
    """Version 0 is the photo's own file; each other one is spoilt in its own way.

    One kind of degradation, chosen evenly, of a severity even in 0..1; a quarter has two, each of
    up to 0.6. It is kept as PNG, which loses nothing more.
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
