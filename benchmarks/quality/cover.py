"""Could a formula tell that a face's lower half is covered? Measured on drawn masks and hands.

    .venv/bin/python -m benchmarks quality cover ../shared/datasets/lfw/images

Each measure's limit is set so that it calls 1 % of the first half of the people's untouched photos
covered. The table says how many photos of the other half's people it calls covered: untouched, and
with covers that are drawn. docs/design/quality.md#covered-faces draws the conclusion.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from aurum.evaluation import disguise, lfw
from aurum.evaluation.disguise import Pixels, Points
from aurum.quality.parts import small_faces, visibility
from aurum.settings import Settings
from benchmarks.quality.source import Local

FALSE_ALARMS = 0.01
# Parts of the aligned crop: around the mouth, the forehead, the bridge of the nose, the eyes.
MOUTH, FOREHEAD = np.s_[80:104, 40:72], np.s_[26:40, 40:72]
BRIDGE, EYES = np.s_[44:58, 52:60], np.s_[44:62, 28:84]


def gray(photo: Pixels, points: Points) -> Pixels:
    """Draw the blue mask, then take the colour away."""
    plain = cv2.cvtColor(disguise.mask(photo, points), cv2.COLOR_RGB2GRAY)
    return np.repeat(plain[..., None], 3, axis=2).astype(np.uint8)


COVERS: Mapping[str, Callable[[Pixels, Points], Pixels]] = {
    "untouched": lambda photo, points: photo,
    "a light blue mask": disguise.mask,
    "a white mask": partial(disguise.mask, cloth=(235, 235, 235)),
    "a black mask": partial(disguise.mask, cloth=(25, 25, 28)),
    "a dark red mask": partial(disguise.mask, cloth=(120, 40, 45)),
    "a mask of a skin colour": partial(disguise.mask, cloth=disguise.SKIN),
    "a light blue mask, gray photo": gray,
    "a hand": disguise.hand,
}


def measures(crop: NDArray[np.uint8]) -> list[float]:
    """Measure an aligned crop; more is more likely covered."""
    plain = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    colours = cv2.cvtColor(crop, cv2.COLOR_RGB2LAB).astype(np.float64)
    mouth, forehead, bridge = (
        np.median(colours[part].reshape(-1, 3), axis=0) for part in (MOUTH, FOREHEAD, BRIDGE)
    )
    slope = np.hypot(*(cv2.Sobel(plain, cv2.CV_32F, *way) for way in ((1, 0), (0, 1))))
    return [
        -float(visibility(small_faces(plain[None].astype(np.uint8)))[0]),
        float(np.hypot(*(mouth - forehead)[1:])),
        float(np.hypot(*(mouth - bridge)[1:])),
        -float(np.log((slope[MOUTH].mean() + 1) / (slope[EYES].mean() + 1))),
    ]


MEASURES = (
    "the part `visibility`",
    "colour of mouth and forehead",
    "colour of mouth and bridge of the nose",
    "detail at the mouth and the eyes",
)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, help="LFW's folder of people's folders")
    folder = parser.parse_args().images
    cv2.setNumThreads(1)
    service = Local(Settings.from_env())
    fitted, tested = (lfw.firsts(names)[::2] for names in lfw.halves(lfw.images(folder)))
    limits = np.quantile(_all(service, folder, fitted, "untouched"), 1 - FALSE_ALARMS, axis=0)
    print(f"| cover | {' | '.join(MEASURES)} |")
    print("| --- |" + " --- |" * len(MEASURES))
    for cover in COVERS:
        called = np.mean(_all(service, folder, tested, cover) > limits, axis=0)
        print(f"| {cover} | {' | '.join(f'{share:.1%}' for share in called)} |")


def _all(service: Local, folder: Path, names: list[str], cover: str) -> NDArray[np.float64]:
    """Measure the central face of each photo with a cover; [N,4]."""
    rows = []
    for name in track(names, description=cover, transient=True):
        photo = np.asarray(cv2.imread(str(folder / name), cv2.IMREAD_COLOR_RGB), np.uint8)
        crop, points = _central(service, photo)
        if crop is not None and points is not None:
            crop, _ = _central(service, COVERS[cover](photo, points))
            if crop is not None:
                rows.append(measures(crop))
    return np.array(rows)


def _central(service: Local, photo: Pixels) -> tuple[NDArray[np.uint8] | None, Points | None]:
    """Return the crop and the landmarks of the face in the photo's middle, if there is one."""
    found = service.find(cv2.imencode(".png", photo[..., ::-1])[1].tobytes())
    if not len(found.faces.scores):
        return None, None
    middles = found.faces.boxes[:, :2] + found.faces.boxes[:, 2:] / 2
    index = int(np.argmin(np.linalg.norm(middles - found.image_size / 2, axis=1)))
    return found.crops()[index], found.faces.landmarks[index].astype(np.float64)
