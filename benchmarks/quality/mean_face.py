"""Compute the mean aligned face of the people for fitting, for the part `visibility`.

    .venv/bin/python -m benchmarks quality mean-face ../shared/datasets/lfw/images

Run it before benchmarks.quality.fit, since it changes a part.
"""

from __future__ import annotations

import argparse
import base64
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from aurum.evaluation import lfw
from aurum.evaluation.lfw import halves
from aurum.models import build
from aurum.quality.parts import MEAN_FACE, small_faces
from aurum.quality.weights import FITTED, save
from aurum.settings import Settings
from benchmarks.baselines.local import LocalService
from benchmarks.quality.samples import sample


def mean_face(crops: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return the mean of crops [112,112,3] as small gray faces, each normalized first.

    It is made symmetrical, and scaled to the range of uint8 around 128.
    """
    total = np.zeros(MEAN_FACE.shape)
    for crop in crops:
        small = small_faces(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[None].astype(np.uint8))[0]
        total += (small - small.mean()) / max(1.0, float(small.std()))
    total += total[:, ::-1]
    return np.rint(128 + 127 * total / np.abs(total).max()).astype(np.uint8)  # type: ignore[no-any-return]


def main() -> None:
    """Find the faces of the untouched photos, and write their mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="folder of person/photo.jpg")
    images = parser.parse_args().images
    settings = Settings.from_env()
    service = LocalService(build.prepare(settings).graphs, settings)
    names, _ = halves(lfw.images(images))

    def crops() -> Iterable[NDArray[np.uint8]]:
        for name in names:
            item = sample(images, name, 0)
            found = service.find(item.image)
            if len(found.faces.boxes):
                centres = found.faces.boxes[:, :2] + found.faces.boxes[:, 2:] / 2
                yield found.crops()[np.linalg.norm(centres - item.centre, axis=1).argmin()]

    face = base64.b64encode(mean_face(crops()).tobytes()).decode()
    save(FITTED._replace(mean_face=face))
