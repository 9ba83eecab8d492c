"""How fit for recognition a face is: parts that can be read one by one, and a total of them.

Everything is taken from the aligned crop, the landmarks and the box, so that a face costs the same
in a photo of any size. docs/quality.md has the table of the parts and what the total is worth.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from aurum.imaging import pose
from aurum.imaging.align import SIDE, TEMPLATE
from aurum.imaging.quality_weights import LEARNT, Model

# The columns of quality_parts, in this order.
PARTS = (
    "resolution", "sharpness", "noise", "exposure", "contrast", "yaw", "pitch", "roll",
    "frontality", "symmetry", "visibility", "misfit", "border_cut", "confidence", "norm",
)  # fmt: skip
# Both as the total's model sees them; the other parts it takes as they are.
_LOGARITHMIC = [PARTS.index(name) for name in ("resolution", "noise", "contrast")]
_SIGNED = [PARTS.index(name) for name in ("yaw", "pitch", "roll")]

# The face's inner part within a crop: less hair and background, and its middle is the crop's.
_ROWS, _COLUMNS = slice(24, 108), slice(24, 88)
# What is compared with the mean face: this part of the crop at a quarter of its size.
_SMALL_ROWS, _SMALL_COLUMNS, _QUARTER = slice(16, 112), slice(8, 104), 24
_PATCHES = (
    (slice(5, 13), slice(3, 12)),  # image-left eye
    (slice(5, 13), slice(12, 21)),  # image-right eye
    (slice(15, 23), slice(5, 19)),  # mouth
)
_HALVES = (slice(2, 24), slice(2, 22))
_NOISE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_BLUR = 9
# A gray level of spread is nothing to see: below it, correlations fade to 0 instead of jumping.
_FAINT = 1.0


def quality_parts(
    photo_size: NDArray[np.integer] | tuple[int, int],
    crops: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    landmarks: NDArray[np.float32],
    scores: NDArray[np.float32],
    norms: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """All parts of F faces of one photo; F may be 0. Always finite.

    Args:
        photo_size: width and height of the upright photo, pixels.
        crops: uint8 RGB [F,112,112,3], aligned.
        boxes: float32 [F,4] x, y, width, height in pixels of the photo.
        landmarks: float32 [F,5,2], pixels of the photo.
        scores: float32 [F], the detector's.
        norms: float32 [F] or [F,1], the embeddings' lengths before normalization; None where
            nothing was embedded, and the column is 0.

    Returns:
        float32 [F,15], columns as in `PARTS`.
    """
    count = len(crops)
    if not count:
        return np.zeros((0, len(PARTS)), np.float32)
    landmarks = np.nan_to_num(landmarks.astype(np.float64), posinf=1e6, neginf=-1e6)
    # One tall image, so that OpenCV is called once for all faces. Filters that reach over the seam
    # between two crops do no harm: only the inner part is read.
    tall = cv2.cvtColor(crops.reshape(count * SIDE, SIDE, 3), cv2.COLOR_RGB2GRAY)
    gray = tall.reshape(count, SIDE, SIDE)
    small = small_faces(gray)
    turned = pose.rotations(landmarks)
    yaw, pitch, roll = pose.angles(turned).T
    columns = (
        resolution(landmarks),
        sharpness(gray),
        noise(gray),
        exposure(gray),
        contrast(gray),
        yaw,
        pitch,
        roll,
        np.clip(turned[:, 2, 2], 0, 1),  # frontality: the cosine between the face's axis and ours
        symmetry(small),
        visibility(small),
        misfit(landmarks),
        border_cut(photo_size, boxes),
        scores,
        np.zeros(count) if norms is None else norms.reshape(count),
    )
    parts = np.stack(columns, axis=1)
    return np.nan_to_num(parts, posinf=1e6, neginf=-1e6).astype(np.float32)


def quality(parts: NDArray[np.float32], embedder: str = "") -> NDArray[np.float32]:
    """The total float32 [F], 0..1, of parts [F,15].

    A logistic model of the standardized parts and their squares, fitted by benchmarks/quality:
    the chance that the photo, beside a good one of the same person, is recognized at FAR 1e-3.
    Norms of two embedders don't compare, so this part only counts where `embedder` (an id, as
    answers carry it) is the one that the weights are of.
    """
    return total(parts, LEARNT.with_norm if embedder == LEARNT.embedder else LEARNT.without_norm)


def total(parts: NDArray[np.float32], model: Model) -> NDArray[np.float32]:
    """The total [F] of parts [F,15] by any model."""
    values = features(parts)[:, : len(model.mean)]
    logits = expand(values, model.mean, model.spread) @ np.array(model.weights) + model.bias
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


def features(parts: NDArray[np.float32]) -> NDArray[np.float64]:
    """The parts [F,15] as the total's model wants them: logarithms of what is a ratio, no signs."""
    values = parts.astype(np.float64)
    values[:, _LOGARITHMIC] = np.log(np.maximum(values[:, _LOGARITHMIC], 1e-3))
    values[:, _SIGNED] = np.abs(values[:, _SIGNED])
    return values


def expand(
    values: NDArray[np.float64], mean: Sequence[float], spread: Sequence[float]
) -> NDArray[np.float64]:
    """Features [F,n] standardized, within 4 spreads of the mean, and their squares: [F,2n]."""
    standard = np.clip((values - np.array(mean)) / np.array(spread), -4, 4)
    return np.hstack([standard, standard**2])


def resolution(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distance between the eyes in the photo's pixels, 0 and up.

    ISO/IEC 29794-5's inter-eye distance, without its correction for yaw, which five landmarks tell
    too roughly.
    """
    return np.linalg.norm(landmarks[:, 1] - landmarks[:, 0], axis=1)


def sharpness(gray: NDArray[np.uint8]) -> NDArray[np.float64]:
    """1 - the blur effect, 0..1: 0 blurred or of one gray. Noise makes it higher.

    Crete et al., "The blur effect: perception and estimation with a new no-reference perceptual
    blur metric" (2007): the share of the differences between neighbours that a mean over 9 pixels
    takes away, of the worse direction. A blurred photo has little to lose. Contrast and brightness
    cancel out.
    """
    count = len(gray)
    tall = gray.reshape(count * SIDE, SIDE).astype(np.float32)
    shares = []
    for axis, kernel in ((1, (1, _BLUR)), (2, (_BLUR, 1))):
        blurred = cv2.blur(tall, kernel).reshape(gray.shape)
        own = _differences(tall.reshape(gray.shape), axis)
        lost = np.maximum(own - _differences(blurred, axis), 0)
        total = own.sum(axis=(1, 2), dtype=np.float64)
        shares.append(lost.sum(axis=(1, 2), dtype=np.float64) / np.maximum(total, 1e-6))
    return np.minimum(*shares)


def _differences(images: NDArray[np.floating], axis: int) -> NDArray[np.floating]:
    """Between neighbours along the axis, in the face's inner part; images [F,112,112]."""
    inner = images[:, _ROWS, _COLUMNS]
    before = images[:, 23:107, _COLUMNS] if axis == 1 else images[:, _ROWS, 23:87]
    return np.abs(inner - before)


def noise(gray: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The noise's standard deviation in the crop, gray levels, 0 and up. Fine texture counts too.

    Immerkaer, "Fast noise variance estimation" (1996): the mean answer of a mask that neither flat
    nor linearly rising brightness touches.
    """
    answers = cv2.filter2D(gray.reshape(-1, SIDE), cv2.CV_32F, _NOISE).reshape(gray.shape)
    mean = np.abs(answers[:, _ROWS, _COLUMNS]).mean(axis=(1, 2), dtype=np.float64)
    return np.sqrt(np.pi / 2) / 6 * mean


def exposure(gray: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The share of pixels that are neither nearly black (0..25) nor nearly white (247..255), 0..1.

    The ranges are those of ISO/IEC 29794-5's under- and over-exposure prevention, as OFIQ has them.
    """
    inner = gray[:, _ROWS, _COLUMNS]
    # Unsigned: what is below 26 wraps around to the top.
    return (inner - np.uint8(26) < 247 - 26).mean(axis=(1, 2))


def contrast(gray: NDArray[np.uint8]) -> NDArray[np.float64]:
    """RMS contrast: the brightness's standard deviation over 255, 0..0.5.

    Peli, "Contrast in complex images" (1990).
    """
    return gray[:, _ROWS, _COLUMNS].astype(np.float32).std(axis=(1, 2)).astype(np.float64) / 255


def symmetry(small: NDArray[np.float32]) -> NDArray[np.float64]:
    """The correlation of the face with its mirror image, -1..1.

    Lower with light from one side, with one half covered, and with yaw. Facial symmetry as a sign
    of lighting and pose: Gao et al., "Standardization of face image sample quality" (2007).
    """
    face = small[:, *_HALVES]
    return _correlation(face, face[:, :, ::-1])


def visibility(small: NDArray[np.float32]) -> NDArray[np.float64]:
    """How much either eye and the mouth look like the mean face's, the least of the three, -1..1.

    A proxy of occlusion: normalized correlation (Lewis, "Fast normalized cross-correlation", 1995)
    with the mean aligned face, as eigenfaces have it (Turk and Pentland, 1991). A hand, sunglasses,
    a mask, a patch lower it, but so do landmarks that lie wrong, and expressions.
    """
    found = [_correlation(small[:, *patch], MEAN_FACE[None, *patch]) for patch in _PATCHES]
    return np.min(found, axis=0)


def misfit(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the landmarks lie from where a rigid head can have them, crop's pixels, 0 and up.

    The root mean square of what is left after the affine map of `pose` (a least-squares residual),
    in pixels of a crop whose eyes are as far apart as the template's.
    """
    rest = pose.residuals(landmarks)
    eyes = np.linalg.norm(landmarks[:, 1] - landmarks[:, 0], axis=1)
    scale = np.linalg.norm(TEMPLATE[1] - TEMPLATE[0]) / np.maximum(eyes, 1e-3)
    return np.minimum(rest * scale, SIDE)


def border_cut(
    photo_size: NDArray[np.integer] | tuple[int, int], boxes: NDArray[np.float32]
) -> NDArray[np.float64]:
    """The share of the box's area that lies outside the photo, 0..1."""
    boxes = boxes.astype(np.float64)
    start = np.maximum(boxes[:, :2], 0)
    end = np.minimum(boxes[:, :2] + boxes[:, 2:], np.asarray(photo_size, np.float64))
    inside = np.prod(np.maximum(end - start, 0), axis=1)
    return np.clip(1 - inside / np.maximum(np.prod(boxes[:, 2:], axis=1), 1e-6), 0, 1)


def small_faces(gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The crops' faces at a quarter of the size, float32 [F,24,24]."""
    part = np.ascontiguousarray(gray[:, _SMALL_ROWS, _SMALL_COLUMNS])
    count = len(part)
    # Whole cells of 4x4 pixels, so that no mean spans two crops.
    shrunk = cv2.resize(
        part.reshape(count * 96, 96), (_QUARTER, count * _QUARTER), interpolation=cv2.INTER_AREA
    )
    return shrunk.reshape(count, _QUARTER, _QUARTER).astype(np.float32)


def _correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of images [F,h,w], -1..1; 0 where one of them is flat."""
    one, other = (
        (image - image.mean(axis=(1, 2), keepdims=True)).astype(np.float64)
        for image in (one, other)
    )
    faint = _FAINT**2 * one[0].size
    energies = ((one**2).sum(axis=(1, 2)) + faint) * ((other**2).sum(axis=(1, 2)) + faint)
    return (one * other).sum(axis=(1, 2)) / np.sqrt(energies)


# The mean aligned face of the people that the weights were fitted on, gray levels [24,24].
MEAN_FACE = (
    np.frombuffer(base64.b64decode(LEARNT.mean_face), np.uint8)
    .reshape(_QUARTER, _QUARTER)
    .astype(np.float32)
)
