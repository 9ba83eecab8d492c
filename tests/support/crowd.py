"""A photo of many faces: the playground's two examples, side by side again and again."""

import cv2
import numpy as np

from aurum.paths import PHOTO

# The head's square in each photo: left, top and side in pixels.
HEADS = {"astronaut.jpg": (110, 10, 230), "hopper.jpg": (90, 10, 380)}


def crowd(columns: int, rows: int, side: int) -> bytes:
    """Return a PNG of `columns` times `rows` faces, each in a square of `side` pixels."""
    tiles = []
    for name, (left, top, size) in HEADS.items():
        photo = cv2.imread(str(PHOTO.with_name(name)))[top : top + size, left : left + size]
        tiles.append(cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA))
    lines = [np.hstack([tiles[(r + c) % 2] for c in range(columns)]) for r in range(rows)]
    return cv2.imencode(".png", np.vstack(lines))[1].tobytes()
