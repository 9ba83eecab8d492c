"""Measure the CPU time of quality assessment in milliseconds per face (one thread, medians).

.venv/bin/python -m benchmarks quality cost
"""

from __future__ import annotations

import time

import cv2
import numpy as np

from aurum.imaging.align import SIDE, TEMPLATE
from aurum.quality.parts import quality, quality_parts
from aurum.quality.weights import FITTED

FACES = (1, 8, 32)
ROUNDS = 500


def cost(faces: int) -> float:
    """Return the time per face of a photo with equal faces; pixels don't affect the time."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (14, 14, 3), np.uint8)
    crop = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    crops = np.repeat(crop[None], faces, axis=0).astype(np.uint8)
    boxes = np.tile(np.array([0, 0, SIDE, SIDE], np.float32), (faces, 1))
    landmarks = np.tile(TEMPLATE.astype(np.float32), (faces, 1, 1))
    ones = np.ones(faces, np.float32)
    embeddings = random.normal(size=(faces, 512)).astype(np.float32)
    taken = []
    for _ in range(ROUNDS):
        start = time.thread_time()
        parts = quality_parts(
            (SIDE, SIDE), crops, boxes, landmarks, ones, ones, embeddings, FITTED.embedder
        )
        quality(parts, FITTED.embedder)
        taken.append(time.thread_time() - start)
    return float(np.median(taken)) * 1e3 / faces


def main() -> None:
    """Print a line for each number of faces."""
    cv2.setNumThreads(1)
    for faces in FACES:
        print(f"{faces} faces: {cost(faces):.3f} ms a face")
