"""How fit for recognition a face is: parts that can be read one by one, and a total of them.

Everything is taken from the aligned crop, the landmarks, the box and the embedding, so that a face
costs the same in a photo of any size. docs/design/quality.md has the table of the parts and what
the total is worth.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aurum.contract import QUALITY_PARTS
from aurum.imaging.align import SIDE, TEMPLATE
from aurum.quality import pose
from aurum.quality.weights import LEARNT, Model

Column = NDArray[np.float64]

# The columns of quality_parts, in this order.
PARTS = QUALITY_PARTS
# The last of them are of one embedder, and mean nothing for another.
OF_ANY = PARTS.index("norm")
_ROLL = PARTS.index("roll")
# Both as the total's model sees them; the other parts it takes as they are.
_LOGARITHMIC = [PARTS.index(name) for name in ("resolution", "noise", "contrast")]
_SIGNED = [PARTS.index(name) for name in ("yaw", "pitch", "roll")]
# 1 where more is worse, -1 where less is, 0 where that can't be said.
_WORSE = np.array([-1, -1, 1, -1, -1, 1, 1, 1, -1, -1, -1, 1, 1, -1, 0, -1])

# The face's inner part within a crop: less hair and background, and its middle is the crop's.
_ROWS, _COLUMNS = slice(24, 108), slice(24, 88)
_INNER = np.s_[_ROWS, _COLUMNS]
_AREA = (108 - 24) * (88 - 24)
# What is compared with the mean face: this part of the crop at a quarter of its size.
_SMALL_ROWS, _SMALL_COLUMNS, _QUARTER = slice(16, 112), slice(8, 104), 24
_PATCHES = (
    (slice(5, 13), slice(3, 12)),  # image-left eye
    (slice(5, 13), slice(12, 21)),  # image-right eye
    (slice(15, 23), slice(5, 19)),  # mouth
)
_HALVES = (slice(2, 24), slice(2, 22))
# Farther than any photo reaches. Within it squares of float32 stay finite.
_FAR = 1e6
_BLUR = 9
# The inner part and what its blurred differences reach: half a blur, and one pixel before it.
_AROUND = _BLUR // 2
_WIDER = np.s_[23 - _AROUND : 108 + _AROUND, 23 - _AROUND : 88 + _AROUND]
_WITHIN = np.s_[1 + _AROUND : -_AROUND, 1 + _AROUND : -_AROUND]  # the inner part of `_WIDER`
_ABOVE = np.s_[_AROUND : -_AROUND - 1, 1 + _AROUND : -_AROUND]
_BEFORE = np.s_[1 + _AROUND : -_AROUND, _AROUND : -_AROUND - 1]
# A gray level of spread is nothing to see: below it, correlations fade to 0 instead of jumping.
_FAINT = 1.0
_EYES = float(np.hypot(*(TEMPLATE[1] - TEMPLATE[0])))


def quality_parts(
    photo_size: NDArray[np.integer[Any]] | tuple[int, int],
    crops: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    landmarks: NDArray[np.float32],
    scores: NDArray[np.float32],
    norms: NDArray[np.float32] | None = None,
    embeddings: NDArray[np.float32] | None = None,
    embedder: str = "",
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
        embeddings: float32 [F,512], of length 1; None where nothing was embedded.
        embedder: the id of the one that made them, as answers carry it. `recognizability` is 0
            where it is not the one whose unrecognizable faces are known.

    Returns:
        float32 [F,16], columns as in `PARTS`.
    """
    count = len(crops)
    if not count:
        return np.zeros((0, len(PARTS)), np.float32)
    points, frames = (_bounded(value.astype(np.float64)) for value in (landmarks, boxes))
    # One tall image, so that OpenCV is called once for all faces.
    tall = cv2.cvtColor(crops.reshape(count * SIDE, SIDE, 3), cv2.COLOR_RGB2GRAY)
    gray = tall.reshape(count, SIDE, SIDE).astype(np.uint8, copy=False)
    small = small_faces(gray)
    turned = pose.rotations(points)
    yaw, pitch, roll = pose.angles(turned).T
    nothing = np.zeros(count)
    columns = (
        resolution(points),
        sharpness(gray),
        noise(gray),
        exposure(gray),
        contrast(gray),
        yaw,
        pitch,
        roll,
        _bounded(turned[:, 2, 2], 0, 1),  # frontality: the cosine between the face's axis and ours
        symmetry(small),
        visibility(small),
        misfit(points),
        border_cut(photo_size, frames),
        scores,
        nothing if norms is None else norms.reshape(count),
        nothing
        if embeddings is None or embedder != LEARNT.embedder
        else recognizability(embeddings),
    )
    return _bounded(np.array(columns, np.float64).T).astype(np.float32)


def _bounded(values: Column, least: float = -_FAR, most: float = _FAR) -> Column:
    # fmax and fmin pass over NaN, which no photo makes, in a tenth of nan_to_num's time, and a
    # half of clip's.
    return np.asarray(np.fmin(np.fmax(values, least), most))


def quality(parts: NDArray[np.float32], embedder: str = "") -> NDArray[np.float32]:
    """The total float32 [F], 0..1, of parts [F,16] of upright faces (`as_upright`).

    A logistic model of the standardized parts and their squares, fitted by benchmarks/quality:
    the chance that the photo, beside a good one of the same person, is recognized at FAR 1e-3.
    The parts from `OF_ANY` on only count where `embedder` (an id, as answers carry it) is the one
    that the weights are of: neither norms nor embeddings of two embedders compare.
    """
    return total(parts, _model(embedder))


def as_upright(parts: NDArray[np.float32], rotations: NDArray[np.int32]) -> NDArray[np.float32]:
    """Parts [F,16] as if each face's photo were turned clockwise by its `rotations` [F], degrees.

    Only `roll` is of the photo and not of the aligned crop, or of directions that turn with it.
    """
    if rotations.any():
        parts = parts.copy()
        parts[:, _ROLL] = (parts[:, _ROLL] + rotations + 180) % 360 - 180
    return parts


def total(parts: NDArray[np.float32], model: Model) -> NDArray[np.float32]:
    """The total [F] of parts [F,16] by any model."""
    values = features(parts[:, : len(model.mean)])
    logits = expand(values, model.mean, model.spread) @ np.array(model.weights) + model.bias
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def weakest(parts: NDArray[np.float32], embedder: str = "") -> NDArray[np.intp]:
    """The column [F] of PARTS in which each face is worst, in standard deviations of all faces."""
    model = _model(embedder)
    count = len(model.mean)
    worse = (features(parts[:, :count]) - model.mean) / model.spread * _WORSE[:count]
    return np.asarray(worse.argmax(axis=1))


def _model(embedder: str) -> Model:
    return LEARNT.of_embedder if embedder == LEARNT.embedder else LEARNT.of_any


def features(parts: NDArray[np.float32]) -> Column:
    """The first n parts [F,n] as the total's model wants them: logarithms of ratios, no signs."""
    values = parts.astype(np.float64)
    values[:, _LOGARITHMIC] = np.log(np.maximum(values[:, _LOGARITHMIC], 1e-3))
    values[:, _SIGNED] = np.abs(values[:, _SIGNED])
    return values


def expand(values: Column, mean: Sequence[float], spread: Sequence[float]) -> Column:
    """Features [F,n] standardized, within 4 spreads of the mean, and their squares: [F,2n]."""
    standard = _bounded((values - np.array(mean)) / np.array(spread), -4, 4)
    return np.concatenate([standard, standard**2], axis=1)


def resolution(landmarks: Column) -> Column:
    """The distance between the eyes in the photo's pixels, 0 and up.

    ISO/IEC 29794-5's inter-eye distance, without its correction for yaw, which five landmarks tell
    too roughly.
    """
    return np.asarray(np.hypot(*(landmarks[:, 1] - landmarks[:, 0]).T))


def sharpness(gray: NDArray[np.uint8]) -> Column:
    """1 - the blur effect, 0..1: 0 blurred or of one gray. Noise makes it higher.

    Crete et al., "The blur effect: perception and estimation with a new no-reference perceptual
    blur metric" (2007): the share of the differences between neighbours that a mean over 9 pixels
    takes away, of the worse direction. A blurred photo has little to lose. Contrast and brightness
    cancel out.
    """
    return np.array([_sharpness(face) for face in gray])


def _sharpness(face: NDArray[np.uint8]) -> float:
    part = face[_WIDER]
    # Sums of nine instead of means keep to uint16, which is exact and fast.
    nine = np.multiply(part, _BLUR, dtype=np.uint16)
    shares = []
    for neighbours, kernel in ((_ABOVE, (1, _BLUR)), (_BEFORE, (_BLUR, 1))):
        sums = cv2.boxFilter(part, cv2.CV_16U, kernel, normalize=False)
        own, left = (cv2.absdiff(image[_WITHIN], image[neighbours]) for image in (nine, sums))
        # Unsigned subtraction stops at 0.
        lost = cv2.sumElems(cv2.subtract(own, left))[0]
        shares.append(lost / max(cv2.sumElems(own)[0], 1))
    return min(shares)


def noise(gray: NDArray[np.uint8]) -> Column:
    """The noise's standard deviation in the crop, gray levels, 0 and up. Fine texture counts too.

    Immerkaer, "Fast noise variance estimation" (1996): the mean answer of a mask that neither flat
    nor linearly rising brightness touches, 1 -2 1 across times 1 -2 1 down.
    """
    # Sobel's second derivative of size 3 both ways is that mask.
    answers = [cv2.Sobel(face[_WIDER], cv2.CV_16S, 2, 2, ksize=3)[_WITHIN] for face in gray]
    sums = np.array([cv2.norm(answer, cv2.NORM_L1) for answer in answers])
    return np.asarray(np.sqrt(np.pi / 2) / 6 * sums / _AREA)


def exposure(gray: NDArray[np.uint8]) -> Column:
    """The share of pixels that are neither nearly black (0..25) nor nearly white (247..255), 0..1.

    The ranges are those of ISO/IEC 29794-5's under- and over-exposure prevention, as OFIQ has them.
    """
    good = [cv2.countNonZero(cv2.inRange(face[_INNER], 26, 246)) for face in gray]  # type: ignore[call-overload]
    return np.array(good) / _AREA


def contrast(gray: NDArray[np.uint8]) -> Column:
    """RMS contrast: the brightness's standard deviation over 255, 0..0.5.

    Peli, "Contrast in complex images" (1990).
    """
    return np.array([cv2.meanStdDev(face[_INNER])[1][0, 0] for face in gray]) / 255


def symmetry(small: NDArray[np.float32]) -> Column:
    """The correlation of the face with its mirror image, -1..1.

    Lower with light from one side, with one half covered, and with yaw. Facial symmetry as a sign
    of lighting and pose: Gao et al., "Standardization of face image sample quality" (2007).
    """
    return np.array([_symmetry(face) for face in small[:, *_HALVES].astype(np.float64)])


def _symmetry(face: Column) -> float:
    face = face - cv2.mean(face)[0]
    faint = _FAINT**2 * face.size
    return float(np.vdot(face, face[:, ::-1]) / (np.vdot(face, face) + faint))


def visibility(small: NDArray[np.float32]) -> Column:
    """How much either eye and the mouth look like the mean face's, the least of the three, -1..1.

    A proxy of occlusion: normalized correlation (Lewis, "Fast normalized cross-correlation", 1995)
    with the mean aligned face, as eigenfaces have it (Turk and Pentland, 1991). A hand, sunglasses,
    a mask, a patch lower it, but so do landmarks that lie wrong, and expressions.
    """
    pixels = small.reshape(len(small), -1)[:, _INDEX].astype(np.float64)
    # The three patches lie one behind the other.
    sums, squares, products = (
        np.add.reduceat(values, _STARTS, axis=1)
        for values in (pixels, pixels * pixels, pixels * _MEANS)
    )
    energies = squares - sums**2 / _SIZES + _FAINT**2 * _SIZES
    return np.asarray((products / np.sqrt(energies * _ENERGIES)).min(axis=1))


def misfit(landmarks: Column) -> Column:
    """How far the landmarks lie from where a rigid head can have them, crop's pixels, 0 and up.

    The root mean square of what is left after the affine map of `pose` (a least-squares residual),
    in pixels of a crop whose eyes are as far apart as the template's.
    """
    rest = pose.residuals(landmarks)
    scale = _EYES / np.maximum(resolution(landmarks), 1e-3)
    return np.asarray(np.minimum(rest * scale, SIDE))


def border_cut(photo_size: NDArray[np.integer[Any]] | tuple[int, int], boxes: Column) -> Column:
    """The share of the box's area that lies outside the photo, 0..1."""
    start = np.maximum(boxes[:, :2], 0)
    end = np.minimum(boxes[:, :2] + boxes[:, 2:], np.asarray(photo_size, np.float64))
    width, height = np.maximum(end - start, 0).T
    area = np.maximum(boxes[:, 2] * boxes[:, 3], 1e-6)
    return _bounded(1 - width * height / area, 0, 1)


def recognizability(
    embeddings: NDArray[np.float32], centre: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """How far an embedding is from those of faces that nobody can recognize, 0..2.

    Deng et al., "Harnessing unrecognizable faces for improving face recognition" (2023): what an
    embedder can't recognize it places near one point. This is 1 - the cosine with that point.

    Args:
        embeddings: float32 [F,512] of length 1.
        centre: float32 [512] of length 1; None: `CENTRE`.
    """
    return np.asarray(1 - embeddings @ (CENTRE if centre is None else centre))


def small_faces(gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The crops' faces at a quarter of the size, float32 [F,24,24]."""
    part = np.ascontiguousarray(gray[:, _SMALL_ROWS, _SMALL_COLUMNS])
    count = len(part)
    # Whole cells of 4x4 pixels, so that no mean spans two crops.
    shrunk = cv2.resize(
        part.reshape(count * 96, 96), (_QUARTER, count * _QUARTER), interpolation=cv2.INTER_AREA
    )
    return shrunk.reshape(count, _QUARTER, _QUARTER).astype(np.float32)


# The direction, [512] of length 1, of the unrecognizable faces' embeddings.
CENTRE = np.frombuffer(base64.b64decode(LEARNT.centre), "<f2").astype(np.float32)
CENTRE /= np.linalg.norm(CENTRE)
# The mean aligned face of the people that the weights were fitted on, gray levels [24,24].
MEAN_FACE = (
    np.frombuffer(base64.b64decode(LEARNT.mean_face), np.uint8)
    .reshape(_QUARTER, _QUARTER)
    .astype(np.float32)
)
# The patches of a small face as one row: their pixels' places, each patch's size and start, the
# mean face's pixels there less their patch's mean, and each patch's energy.
_PLACES = np.arange(_QUARTER**2).reshape(_QUARTER, _QUARTER)
_INDEX = np.concatenate([_PLACES[at].ravel() for at in _PATCHES])
_SIZES = np.array([MEAN_FACE[at].size for at in _PATCHES])
_STARTS = np.concatenate([[0], np.cumsum(_SIZES)[:-1]])
_MEANS = np.concatenate([(MEAN_FACE[at] - MEAN_FACE[at].mean()).ravel() for at in _PATCHES])
_ENERGIES = np.add.reduceat(_MEANS.astype(np.float64) ** 2, _STARTS) + _FAINT**2 * _SIZES
