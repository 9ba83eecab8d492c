"""The gallery's pictures, each with its known faces.

They are made from photos that may be published: NASA's portrait of Eileen Collins (public domain)
and scikit-image's `camera`, `chelsea` and `coffee` (CC0), all in scikit-image's wheel; the US
Navy's portrait of Grace Hopper (public domain), in matplotlib's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib.cbook
import numpy as np
import skimage
from numpy.typing import NDArray

from aurum.evaluation import disguise, variants
from aurum.evaluation.annotations import Marked
from aurum.evaluation.photos import jpeg
from aurum.evaluation.variants import Scene, Variant
from aurum.paths import PHOTO

Pixels = NDArray[np.uint8]
HIDDEN, WORSE = "Masks and occlusions", "Black and white, and worse"
COLLINS, HOPPER, STRANGER = "Collins", "Hopper", "a third person"


class Picture(NamedTuple):
    """One entry: its encoded photo, and the people in it (a name for each face).

    `boxes` [F,4] in pixels, in the order of `people`, if the faces' positions are known.
    """

    section: str
    title: str
    data: bytes
    people: tuple[str, ...]
    boxes: NDArray[np.float64] | None = None

    @property
    def who(self) -> str:
        """Names of the people, each once."""
        return " and ".join(dict.fromkeys(self.people)) or "nobody"

    @property
    def stem(self) -> str:
        """Stem of the file name."""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.who} {self.title}".lower())


class Find(NamedTuple):
    """The one face of a plain photo; `box` [4] and `landmarks` [5,2] in pixels."""

    box: NDArray[np.float64]
    landmarks: NDArray[np.float64]


def portraits() -> dict[str, bytes]:
    """Return the two people's photos, by name."""
    hopper = Path(str(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    return {COLLINS: PHOTO.read_bytes(), HOPPER: hopper.read_bytes()}


def pictures(find: Callable[[bytes], Find]) -> Iterator[Picture]:
    """Yield all pictures. `find` locates the face of an untouched portrait."""
    files = portraits()
    scenes = {name: _scene(data, find(data)) for name, data in files.items()}
    collins, hopper = scenes[COLLINS], scenes[HOPPER]
    points = {name: scene.marked.landmarks[0] for name, scene in scenes.items()}

    def made(section: str, title: str, variant: Variant, name: str = COLLINS) -> Picture:
        return Picture(section, title, variant.data, (name,), variant.marked.boxes)

    def drawn(section: str, title: str, change: Callable[..., Pixels], name: str) -> Picture:
        photo = change(scenes[name].photo, points[name])
        return made(section, title, Variant(encode(photo), scenes[name].marked), name)

    for name, who in ((COLLINS, "NASA"), (HOPPER, "the Navy")):
        plain = Variant(files[name], scenes[name].marked)
        yield made("Plain portraits", f"as {who} took it", plain, name)

    wall = partial(_wall, (collins, hopper), "Groups")
    yield wall("two people, put side by side", 2, 1)
    yield wall("40 faces", 8, 5)
    yield wall("160 faces", 16, 10)

    for share in (0.7, 0.95):
        title = f"the face fills {share:.0%} of the frame"
        yield made("Close-ups", title, variants.close_up(hopper, share, 640), HOPPER)
    for side, lost in (("bottom", 0.25), ("left", 0.4), ("top", 0.4)):
        title = f"{lost:.0%} of the face is beyond the {side} border"
        yield made("Close-ups", title, variants.at_border(collins, side, lost))

    for stops in (1.5, 3.0, 4.5):
        title = f"backlight: face {stops:g} stops darker, surroundings as much brighter"
        yield drawn("Light", title, partial(disguise.backlight, stops=stops), COLLINS)
    for light in (0.1, 0.01):
        yield made("Light", f"{light:.0%} of the light", variants.low_light(collins, light))

    title = "profile: a photographer at work"
    yield Picture("Turned", title, _skimage("camera.png"), (STRANGER,))
    for angle in (30, 90, 180):
        yield made("Turned", f"rotated by {angle} degrees", variants.rotated(collins, angle))
    title = "upside down in the file, and EXIF says so"
    yield made("Turned", title, variants.oriented(collins, 3))

    for name in (COLLINS, HOPPER):
        yield drawn(HIDDEN, "a mask, drawn on", disguise.mask, name)
        yield drawn(HIDDEN, "sunglasses, drawn on", disguise.sunglasses, name)

    def both(photo: Pixels, marks: disguise.Points) -> Pixels:
        return disguise.mask(disguise.sunglasses(photo, marks), marks)

    yield drawn(HIDDEN, "mask and sunglasses", both, COLLINS)
    yield drawn(HIDDEN, "a hand before the mouth", disguise.hand, HOPPER)
    yield drawn(HIDDEN, "a board before one half", disguise.board, COLLINS)

    yield made(WORSE, "black and white: one channel", variants.grayscale(hopper), HOPPER)
    for title, change in (
        ("motion of 20% of the face", partial(variants.motion, share=0.2)),
        ("motion of 40% of the face", partial(variants.motion, share=0.4)),
        ("noise of 80 levels", partial(variants.noisy, sigma=80)),
        ("JPEG of quality 5", partial(variants.compressed, quality=5)),
        ("24 pixels high", partial(variants.small, pixels=24)),
        ("12 pixels high", partial(variants.small, pixels=12)),
        ("8 pixels high", partial(variants.small, pixels=8)),
    ):
        yield made(WORSE, title, change(collins))

    for title, name in (("a cat", "chelsea.png"), ("coffee", "coffee.png")):
        yield Picture("Nobody there", title, _skimage(name), (), np.zeros((0, 4)))


def encode(photo: Pixels) -> bytes:
    """Encode as JPEG of high quality."""
    return jpeg(photo, variants.QUALITY)


def decode(data: bytes) -> Pixels:
    """Decode to RGB [H,W,3]."""
    photo = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(photo[..., ::-1], np.uint8)


def _scene(data: bytes, face: Find) -> Scene:
    return Scene(decode(data), Marked.of([(face.box, face.landmarks, False)]), 0)


def _skimage(name: str) -> bytes:
    return (Path(skimage.__file__).parent / "data" / name).read_bytes()


def _wall(pair: tuple[Scene, Scene], section: str, title: str, columns: int, rows: int) -> Picture:
    """Alternate both portraits, from hair to collar, in a frame 1280 pixels wide."""
    side = 1280 // columns
    tiles = []
    for scene in pair:
        x, y, width, height = scene.marked.boxes[0]
        reach = 1.7 * height
        left, top = x + width / 2 - reach / 2, y + height / 2 - reach / 2
        scale = side / reach
        matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
        tiles.append(variants.cut(scene, matrix, side, side, variants.GRAY))
    photo = np.zeros((rows * side, columns * side, 3), np.uint8)
    people, boxes = [], []
    for row, column in np.ndindex(rows, columns):
        which = (row + column) % 2
        y, x = row * side, column * side
        photo[y : y + side, x : x + side] = tiles[which].photo
        people.append((COLLINS, HOPPER)[which])
        boxes.append(tiles[which].marked.boxes[0] + (x, y, 0, 0))
    title = f"{title}, {side} pixels each"
    return Picture(section, title, encode(photo), tuple(people), np.array(boxes))
