"""Presentation attacks made by code: photos of a photo on paper and on a screen.

They imitate what a camera sees of such attacks: the thing's own raster (halftone dots, subpixels),
its range of brightness and colour, its border, perspective, light falling from one side, the
camera's blur and noise, and a JPEG. Real attacks differ; measure with your own where you can.

Every function takes a photo, uint8 RGB [H,W,3], and a random generator, and returns uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Photo = NDArray[np.uint8]
Values = NDArray[Any]
Attack = Callable[[Photo, np.random.Generator], Photo]

WIDTH, HEIGHT = 720, 960  # of the pictures, pixels
SHOWN = 900  # pixels of a photo's long side on the screen, dots on paper
SUBPIXELS = 3  # a side
GAMMA = 2.2
# Share of the picture that the thing spans: with its borders in view, and with them outside.
IN_VIEW, CLOSE = (0.7, 0.95), (1.5, 1.7)


def enlarged(photo: Photo, random: np.random.Generator) -> Photo:
    """No attack: the photo at the same size and through the same camera, for comparison."""
    return _camera(_shown(photo), random)


def screen(
    photo: Photo, random: np.random.Generator, spans: tuple[float, float] = IN_VIEW
) -> Photo:
    """A photo on a screen with a black frame: stripes of red, green and blue, glare, bluish."""
    light: Values = (_shown(photo) / 255) ** GAMMA
    light = light.repeat(SUBPIXELS, axis=0).repeat(SUBPIXELS, axis=1)
    stripes = np.full((SUBPIXELS, SUBPIXELS, 3), 0.25, np.float32)
    for channel in range(3):
        stripes[:, channel, channel] = 1.9
    stripes[-1] *= 0.6  # the gap between rows
    light *= np.tile(stripes, (light.shape[0] // SUBPIXELS, light.shape[1] // SUBPIXELS, 1))
    light = _framed(light, 0.04, 0.01) * np.array([0.93, 1, 1.08], np.float32)
    glare = np.clip(_slope(light.shape[:2], random, 1.2) - 1.35, 0, 1) * 0.8 + 0.02
    light = np.clip(light + glare[..., None], 0, 1)
    return _camera(_before_scene(light ** (1 / GAMMA) * 255, random, spans), random)


def paper(photo: Photo, random: np.random.Generator, spans: tuple[float, float] = IN_VIEW) -> Photo:
    """A print with a white margin: halftone dots, less contrast and colour, uneven light."""
    ink = 0.12 + 0.8 * (_shown(photo) / 255)
    ink = ink @ (np.eye(3, dtype=np.float32) * 0.85 + 0.05)
    rows, columns = np.indices(ink.shape[:2], np.float32)
    for channel, angle in enumerate(np.deg2rad([15, 75, 45])):  # as printers turn their rasters
        along = columns * np.cos(angle) + rows * np.sin(angle)
        across = rows * np.cos(angle) - columns * np.sin(angle)
        dots = np.cos(along * 2 * np.pi / 3.2) * np.cos(across * 2 * np.pi / 3.2)
        tone = ink[..., channel]
        ink[..., channel] = tone + 0.12 * dots * (1 - np.abs(2 * tone - 1))
    sheet = _framed(ink, 0.07, 0.92)
    sheet *= _slope(sheet.shape[:2], random, 0.35)[..., None]
    return _camera(_before_scene(np.clip(sheet, 0, 1) * 255, random, spans), random)


KINDS: Mapping[str, Attack] = {
    "paper": paper,
    "paper, its margin out of view": partial(paper, spans=CLOSE),
    "screen": screen,
    "screen, its frame out of view": partial(screen, spans=CLOSE),
}


def _shown(photo: Photo) -> NDArray[np.float32]:
    scale = SHOWN / max(photo.shape[:2])
    size = (round(photo.shape[1] * scale), round(photo.shape[0] * scale))
    method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    return np.clip(cv2.resize(photo.astype(np.float32), size, interpolation=method), 0, 255)


def _framed(image: Values, share: float, value: float) -> Values:
    width = round(share * max(image.shape[:2]))
    sides = ((width, width), (width, width), (0, 0))
    return np.pad(image.astype(np.float32), sides, constant_values=value)


def _slope(shape: tuple[int, ...], random: np.random.Generator, strength: float) -> Values:
    """Light from one side: 1 in the middle, up to 1 +- `strength` at the corners."""
    rows, columns = (
        indices / size - 0.5
        for indices, size in zip(np.indices(shape, np.float32), shape, strict=True)
    )
    angle = random.uniform(0, 2 * np.pi)
    return np.asarray(1 + strength * (np.cos(angle) * columns + np.sin(angle) * rows))


def _before_scene(thing: Values, random: np.random.Generator, spans: tuple[float, float]) -> Values:
    """Hold a flat thing before a blurred scene, tilted a little."""
    height, width = thing.shape[:2]
    sides = np.array([width, height]) * random.uniform(*spans) * min(WIDTH / width, HEIGHT / height)
    middle = np.array([WIDTH, HEIGHT]) * (0.5 + random.uniform(-0.03, 0.03, 2))
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * sides / 2 + middle
    corners += random.uniform(-0.03, 0.03, (4, 2)) * sides
    whole = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(whole, corners.astype(np.float32))
    seen = cv2.warpPerspective(thing.astype(np.float32), matrix, (WIDTH, HEIGHT))
    covered = cv2.warpPerspective(np.ones((height, width, 1), np.float32), matrix, (WIDTH, HEIGHT))
    spots = random.normal(0, 12, (HEIGHT // 40, WIDTH // 40, 3)).astype(np.float32)
    room: Values = cv2.resize(spots, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    room = room + random.uniform(60, 180, 3) * _slope((HEIGHT, WIDTH), random, 0.6)[..., None]
    return np.asarray(seen + room * (1 - covered[..., None]))


def _camera(light: Values, random: np.random.Generator) -> Photo:
    """Blur and noise of a small camera, and its JPEG."""
    noise = random.normal(0, 2, light.shape)
    image = np.clip(cv2.GaussianBlur(light, (0, 0), 0.6) + noise, 0, 255).astype(np.uint8)
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)
