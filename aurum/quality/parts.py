"""Face image quality: 16 interpretable parts, and a total that combines them.

All parts are computed from the aligned crop, the landmarks, the box and the embedding, so a face
costs the same in a photo of any size. docs/design/quality.md lists the parts; the total's accuracy
is in docs/reports/quality.md.
"""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aurum.contract import QUALITY_PARTS
from aurum.imaging.align import SIDE, TEMPLATE
from aurum.quality import pose
from aurum.quality.weights import FITTED, Model

Column = NDArray[np.float64]

# The columns of quality_parts, in this order.
PARTS = QUALITY_PARTS
# The number of parts that have the same meaning for every embedder; they come first.
COMMON_PARTS = PARTS.index("norm")
_ROLL = PARTS.index("roll")
# The total's model takes the logarithm or the magnitude of these, and the other parts unchanged.
_LOGARITHMIC = np.array([PARTS.index(name) for name in ("resolution", "noise", "contrast")])
_SIGNED = slice(PARTS.index("yaw"), PARTS.index("roll") + 1)  # and pitch, between them
# By part: 1 if a higher value is worse, -1 if a lower value is, 0 if neither is.
_WORSE = np.array([-1, -1, 1, -1, -1, 1, 1, 1, -1, -1, -1, 1, 1, -1, 0, -1])

# The face's inner part within a crop: with less hair and background, and horizontally centred.
_ROWS, _COLUMNS = slice(24, 108), slice(24, 88)
_INNER = np.s_[_ROWS, _COLUMNS]
_AREA = (108 - 24) * (88 - 24)
# This part of the crop, at a quarter of its size, is compared with the mean face.
_SMALL_ROWS, _SMALL_COLUMNS, _QUARTER = slice(16, 112), slice(8, 104), 24
_PATCHES = (
    (slice(5, 13), slice(3, 12)),  # image-left eye
    (slice(5, 13), slice(12, 21)),  # image-right eye
    (slice(15, 23), slice(5, 19)),  # mouth
)
_HALVES = (slice(2, 24), slice(2, 22))
# Larger than any coordinate in a photo, and small enough for squares of float32 to stay finite.
_FAR = 1e6
_BLUR = 9  # pixels that the blur effect's mean filter spans
# The inner part with the margin that its blurred differences need: half of the filter, and one
# pixel above or to the left.
_AROUND = _BLUR // 2
_WIDER = np.s_[23 - _AROUND : 108 + _AROUND, 23 - _AROUND : 88 + _AROUND]
_WITHIN = np.s_[1 + _AROUND : -_AROUND, 1 + _AROUND : -_AROUND]  # the inner part of `_WIDER`
_ABOVE = np.s_[_AROUND : -_AROUND - 1, 1 + _AROUND : -_AROUND]
_BEFORE = np.s_[1 + _AROUND : -_AROUND, _AROUND : -_AROUND - 1]
# A standard deviation of one gray level is invisible. This term makes correlations of weaker
# patterns approach 0 smoothly.
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
    """Compute all quality parts of F faces of one photo; F may be 0.

    Args:
        photo_size: width and height of the upright photo, pixels.
        crops: aligned crops, uint8 RGB [F,112,112,3].
        boxes: float32 [F,4], x, y, width, height in pixels of the photo.
        landmarks: float32 [F,5,2], x, y in pixels of the photo.
        scores: detection scores, float32 [F], 0..1.
        norms: the embeddings' lengths before normalization, float32 [F] or [F,1]; None if nothing
            was embedded, which makes `norm` 0.
        embeddings: float32 [F,512], of length 1; None if nothing was embedded.
        embedder: id of the model that computed the embeddings, as in answers. `recognizability` is
            0 unless the weights are valid for this embedder.

    Returns:
        float32 [F,16], columns as in `PARTS`; always finite.
    """
    count = len(crops)
    if not count:
        return np.zeros((0, len(PARTS)), np.float32)
    points, frames = (_bounded(value.astype(np.float64)) for value in (landmarks, boxes))
    # Stack all faces into one tall image, so that one OpenCV call converts them.
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
        _bounded(turned[:, 2, 2], 0, 1),  # frontality: cosine of the angle to the camera's axis
        symmetry(small),
        visibility(small),
        landmark_residual(points),
        border_cut(photo_size, frames),
        scores,
        nothing if norms is None else norms.reshape(count),
        nothing
        if embeddings is None or embedder != FITTED.embedder
        else recognizability(embeddings),
    )
    return _bounded(np.array(columns, np.float64).T).astype(np.float32)


def _bounded(values: Column, least: float = -_FAR, most: float = _FAR) -> Column:
    # fmax and fmin replace NaN, too (which no photo causes), in a tenth of nan_to_num's time and
    # half of clip's.
    return np.asarray(np.fmin(np.fmax(values, least), most))


def quality(parts: NDArray[np.float32], embedder: str = "") -> NDArray[np.float32]:
    """Compute the total quality, float32 [F], 0..1, from parts [F,16] of upright faces.

    It is the probability that the photo, beside a good one of the same person, is recognized at
    FAR 1e-3, by a logistic model of the standardized parts and their squares, fitted by
    benchmarks/quality. The parts from `COMMON_PARTS` on only count if the weights are valid for
    `embedder` (an id, as in answers), because neither norms nor embeddings of different embedders
    can be compared. `as_upright` converts the parts of rotated faces.
    """
    return total(parts, _model(embedder))


def as_upright(parts: NDArray[np.float32], rotations: NDArray[np.int32]) -> NDArray[np.float32]:
    """Convert parts [F,16] to those of photos rotated clockwise by `rotations` [F], in degrees.

    Only `roll` changes; the other parts don't depend on the photo's rotation.
    """
    if rotations.any():
        parts = parts.copy()
        parts[:, _ROLL] = (parts[:, _ROLL] + rotations + 180) % 360 - 180
    return parts


def total(parts: NDArray[np.float32], model: Model) -> NDArray[np.float32]:
    """Compute the total, float32 [F], 0..1, from parts [F,16] with any model."""
    values = features(parts[:, : len(model.mean)])
    logits = expand(values, model.mean, model.spread) @ model.weights + model.bias
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def weakest(parts: NDArray[np.float32], embedder: str = "") -> NDArray[np.intp]:
    """Return each face's worst part as a column of PARTS [F].

    Parts are compared in standard deviations from the mean of the photos that the weights were
    fitted on.
    """
    model = _model(embedder)
    count = len(model.mean)
    worse = (features(parts[:, :count]) - model.mean) / model.spread * _WORSE[:count]
    return np.asarray(worse.argmax(axis=1))


def _model(embedder: str) -> Model:
    return FITTED.of_embedder if embedder == FITTED.embedder else FITTED.of_any


def features(parts: NDArray[np.float32]) -> Column:
    """Convert the first n parts [F,n] to the model's features: logarithms and magnitudes."""
    values = parts.astype(np.float64)
    values[:, _LOGARITHMIC] = np.log(np.maximum(values[:, _LOGARITHMIC], 1e-3))
    values[:, _SIGNED] = np.abs(values[:, _SIGNED])
    return values


def expand(values: Column, mean: Column, spread: Column) -> Column:
    """Standardize features [F,n], clip to 4 standard deviations, append their squares: [F,2n]."""
    standard = _bounded((values - mean) / spread, -4, 4)
    return np.concatenate([standard, standard**2], axis=1)


def resolution(landmarks: Column) -> Column:
    """Distance between the eyes in the photo's pixels, 0 and up.

    The inter-eye distance of ISO/IEC 29794-5, without its correction for yaw, which five landmarks
    determine too roughly.
    """
    return np.asarray(np.hypot(*(landmarks[:, 1] - landmarks[:, 0]).T))


def sharpness(gray: NDArray[np.uint8]) -> Column:
    """Sharpness as 1 - the blur effect, 0..1: 0 is blurred or uniform; noise raises it.

    Crete et al., "The blur effect: perception and estimation with a new no-reference perceptual
    blur metric" (2007): the share of the differences between neighbours that a mean over 9 pixels
    removes, in the worse of the two directions. It removes little from a blurred photo. Contrast
    and brightness cancel out.
    """
    return np.array([_sharpness(face) for face in gray])


def _sharpness(face: NDArray[np.uint8]) -> float:
    part = face[_WIDER]
    # Sums of nine pixels instead of means fit into uint16, which is exact and fast.
    nine = np.multiply(part, _BLUR, dtype=np.uint16)
    shares = []
    for neighbours, kernel in ((_ABOVE, (1, _BLUR)), (_BEFORE, (_BLUR, 1))):
        sums = cv2.boxFilter(part, cv2.CV_16U, kernel, normalize=False)
        own, left = (cv2.absdiff(image[_WITHIN], image[neighbours]) for image in (nine, sums))
        # OpenCV's unsigned subtraction saturates at 0.
        lost = cv2.sumElems(cv2.subtract(own, left))[0]
        shares.append(lost / max(cv2.sumElems(own)[0], 1))
    return min(shares)


def noise(gray: NDArray[np.uint8]) -> Column:
    """Standard deviation of the crop's noise in gray levels, 0 and up; fine texture counts, too.

    Immerkaer, "Fast noise variance estimation" (1996): the mean magnitude of the response to the
    mask 1 -2 1 across times 1 -2 1 down, which is 0 for constant and linearly changing brightness.
    """
    # Sobel's second derivative of size 3 in both directions is that mask.
    answers = [cv2.Sobel(face[_WIDER], cv2.CV_16S, 2, 2, ksize=3)[_WITHIN] for face in gray]
    sums = np.array([cv2.norm(answer, cv2.NORM_L1) for answer in answers])
    return np.asarray(np.sqrt(np.pi / 2) / 6 * sums / _AREA)


def exposure(gray: NDArray[np.uint8]) -> Column:
    """Share of pixels that are neither nearly black (0..25) nor nearly white (247..255), 0..1.

    The ranges are those of OFIQ for ISO/IEC 29794-5's under- and over-exposure prevention.
    """
    good = [cv2.countNonZero(cv2.inRange(face[_INNER], 26, 246)) for face in gray]  # type: ignore[call-overload]
    return np.array(good) / _AREA


def contrast(gray: NDArray[np.uint8]) -> Column:
    """RMS contrast: the standard deviation of the brightness, divided by 255, 0..0.5.

    Peli, "Contrast in complex images" (1990).
    """
    return np.array([cv2.meanStdDev(face[_INNER])[1][0, 0] for face in gray]) / 255


def symmetry(small: NDArray[np.float32]) -> Column:
    """Correlation of the face with its mirror image, -1..1.

    Light from one side, a covered half and yaw lower it. Facial symmetry as an indicator of
    lighting and pose: Gao et al., "Standardization of face image sample quality" (2007).
    """
    return np.array([_symmetry(face) for face in small[:, *_HALVES].astype(np.float64)])


def _symmetry(face: Column) -> float:
    face = face - cv2.mean(face)[0]
    faint = _FAINT**2 * face.size
    return float(np.vdot(face, face[:, ::-1]) / (np.vdot(face, face) + faint))


def visibility(small: NDArray[np.float32]) -> Column:
    """Lowest correlation of either eye or the mouth with that of the mean face, -1..1.

    A proxy for occlusion: normalized correlation (Lewis, "Fast normalized cross-correlation", 1995)
    with the mean aligned face, as in eigenfaces (Turk and Pentland, 1991). Hands, sunglasses, masks
    and patches lower it, but so do wrong landmarks and expressions.
    """
    pixels = small.reshape(len(small), -1)[:, _INDEX].astype(np.float64)
    sums, squares, products = pixels @ _MASKS, (pixels * pixels) @ _MASKS, pixels @ _MASKED_MEANS
    energies = squares - sums**2 / _SIZES + _FAINT**2 * _SIZES
    return np.asarray((products / np.sqrt(energies * _ENERGIES)).min(axis=1))


def landmark_residual(landmarks: Column) -> Column:
    """RMS distance of the landmarks from the best-fitting rigid head, 0..112 crop pixels.

    This is the part `misfit`: the least-squares residual of the affine map in `pose`, in pixels of
    a crop whose eyes are as far apart as the template's.
    """
    rest = pose.residuals(landmarks)
    scale = _EYES / np.maximum(resolution(landmarks), 1e-3)
    return np.asarray(np.minimum(rest * scale, SIDE))


def border_cut(photo_size: NDArray[np.integer[Any]] | tuple[int, int], boxes: Column) -> Column:
    """Share of the box's area that lies outside the photo, 0..1."""
    width, height = map(float, photo_size)
    return np.array([_outside(width, height, *box) for box in boxes.tolist()])


def _outside(width: float, height: float, x: float, y: float, wide: float, high: float) -> float:
    across = max(min(x + wide, width) - max(x, 0), 0)
    down = max(min(y + high, height) - max(y, 0), 0)
    return min(max(1 - across * down / max(wide * high, 1e-6), 0), 1)


def recognizability(
    embeddings: NDArray[np.float32], centre: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Distance of embeddings from those of unrecognizable faces, 1 - cosine, float32 [F], 0..2.

    Deng et al., "Harnessing unrecognizable faces for improving face recognition" (2023): an
    embedder places the faces that it can't recognize near one point.

    Args:
        embeddings: float32 [F,512] of length 1.
        centre: that point, float32 [512] of length 1; None for `CENTRE`.
    """
    return np.asarray(1 - embeddings @ (CENTRE if centre is None else centre))


def small_faces(gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Shrink the face regions of gray crops [F,112,112] to a quarter, float32 [F,24,24]."""
    part = np.ascontiguousarray(gray[:, _SMALL_ROWS, _SMALL_COLUMNS])
    count = len(part)
    # Cells are exactly 4x4 pixels, so no mean spans two crops.
    shrunk = cv2.resize(
        part.reshape(count * 96, 96), (_QUARTER, count * _QUARTER), interpolation=cv2.INTER_AREA
    )
    return shrunk.reshape(count, _QUARTER, _QUARTER).astype(np.float32)


# The direction of unrecognizable faces' embeddings, float32 [512] of length 1.
CENTRE = np.frombuffer(base64.b64decode(FITTED.centre), "<f2").astype(np.float32)
CENTRE /= np.linalg.norm(CENTRE)
# The mean aligned face of the people that the weights were fitted on, float32 [24,24], gray levels.
MEAN_FACE = (
    np.frombuffer(base64.b64decode(FITTED.mean_face), np.uint8)
    .reshape(_QUARTER, _QUARTER)
    .astype(np.float32)
)
# The patches of a small face as one row of n pixels: the pixels' indices, each patch's size, and
# matrices [n,3] that sum a row's pixels by patch, plainly or multiplied by the mean face's minus
# their patch's mean; and the energy of the latter in each patch.
_PLACES = np.arange(_QUARTER**2).reshape(_QUARTER, _QUARTER)
_INDEX = np.concatenate([_PLACES[at].ravel() for at in _PATCHES])
_SIZES = np.array([MEAN_FACE[at].size for at in _PATCHES])
_MASKS = np.repeat(np.eye(len(_PATCHES)), _SIZES, axis=0)
_MEANS = np.concatenate([(MEAN_FACE[at] - MEAN_FACE[at].mean()).ravel() for at in _PATCHES])
_MASKED_MEANS = _MASKS * _MEANS[:, None]
_ENERGIES = np.square(_MEANS, dtype=np.float64) @ _MASKS + _FAINT**2 * _SIZES
