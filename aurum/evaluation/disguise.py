"""Draw occlusions of a face by its landmarks, and light it from behind.

Every function takes a photo uint8 RGB [H,W,3] and one face's landmarks [5,2] in pixels, in the
contract's order, and gives a new photo. Shapes are shares of the distances between the landmarks.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]

CLOTH = (168, 205, 222)
FOLDS = (140 / 168, 176 / 205, 196 / 222)  # how much darker a fold is, by channel
GLASS = (18, 18, 22)
SKIN = (196, 146, 118)
BOARD = (120, 88, 60)


def _axes(points: Points) -> tuple[Points, Points, Points, Points]:
    """Return the centres of eyes and mouth, and the vectors across and down the face."""
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    return eyes, mouth, points[1] - points[0], mouth - eyes


def _polygon(photo: Pixels, corners: Any, colour: tuple[int, int, int]) -> Pixels:
    drawn = photo.copy()
    cv2.fillPoly(drawn, [np.rint(corners).astype(np.int32)], colour, cv2.LINE_AA)
    return drawn


def mask(photo: Pixels, points: Points, cloth: tuple[int, int, int] = CLOTH) -> Pixels:
    """Draw a mask of the colour `cloth` from the bridge of the nose to below the chin."""
    eyes, mouth, across, down = _axes(points)
    corners = [
        eyes + 0.32 * down,
        eyes + 0.5 * down + 0.95 * across,
        mouth + 0.35 * down + 0.8 * across,
        mouth + 0.85 * down,
        mouth + 0.35 * down - 0.8 * across,
        eyes + 0.5 * down - 0.95 * across,
    ]
    drawn = _polygon(photo, corners, cloth)
    folds = tuple(round(value * shade) for value, shade in zip(cloth, FOLDS, strict=True))
    for share in (0.75, 0.95, 1.15):
        ends = [eyes + share * down + side * 0.85 * across for side in (-1, 1)]
        start, end = (np.rint(point).astype(int).tolist() for point in ends)
        cv2.line(drawn, start, end, folds, max(1, round(_size(across) / 25)), cv2.LINE_AA)
    return drawn


def sunglasses(photo: Pixels, points: Points) -> Pixels:
    """Draw two dark lenses and their bridge."""
    drawn = photo.copy()
    _, _, across, _ = _axes(points)
    width = _size(across)
    angle = float(np.degrees(np.arctan2(across[1], across[0])))
    for eye in points[:2]:
        axes = (round(0.42 * width), round(0.33 * width))
        middle = np.rint(eye + np.array([0, 0.04 * width])).astype(int).tolist()
        cv2.ellipse(drawn, middle, axes, angle, 0, 360, GLASS, cv2.FILLED, cv2.LINE_AA)
    start, end = (np.rint(eye).astype(int).tolist() for eye in points[:2])
    cv2.line(drawn, start, end, GLASS, max(1, round(0.1 * width)), cv2.LINE_AA)
    return drawn


def hand(photo: Pixels, points: Points) -> Pixels:
    """Draw a hand in front of the mouth: four fingers."""
    drawn = photo.copy()
    _, mouth, across, down = _axes(points)
    width = _size(across)
    angle = float(np.degrees(np.arctan2(across[1], across[0]))) - 12
    for row in range(4):
        middle = np.rint(mouth + (row - 1.2) * 0.26 * down).astype(int).tolist()
        axes = (round(0.85 * width), round(0.15 * width))
        shade = tuple(round(value * (0.94**row)) for value in SKIN)
        cv2.ellipse(drawn, middle, axes, angle, 0, 360, shade, cv2.FILLED, cv2.LINE_AA)
        cv2.ellipse(drawn, middle, axes, angle, 0, 360, (120, 80, 60), 1, cv2.LINE_AA)
    return drawn


def board(photo: Pixels, points: Points) -> Pixels:
    """Draw a flat board in front of the image-right half."""
    eyes, mouth, across, down = _axes(points)
    corners = [
        eyes - 1.6 * down,
        eyes - 1.6 * down + 1.6 * across,
        mouth + 1.6 * down + 1.6 * across,
        mouth + 1.6 * down,
    ]
    return _polygon(photo, corners, BOARD)


def backlight(photo: Pixels, points: Points, stops: float) -> Pixels:
    """Make the face `stops` darker and its surroundings as much brighter, in linear light."""
    height, width = photo.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    middle, reach = points.mean(axis=0), 2.2 * _size(points[1] - points[0])
    far = np.hypot(columns - middle[0], (rows - middle[1]) * 0.8) / reach
    change = 2.0 ** (stops * np.clip(2 * far - 2.2, -1, 1))
    linear = (photo / 255.0) ** 2.2 * change[..., None]
    # Glare: light that the lens scatters over the dark parts.
    linear = 0.97 * linear + 0.03 * linear.mean()
    lit: Pixels = (255 * np.clip(linear, 0, 1) ** (1 / 2.2)).round().astype(np.uint8)
    return lit


def _size(vector: Points) -> float:
    return float(np.hypot(*vector))
