"""From an encoded photo to its faces and their aligned crops."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum.imaging.align import SIDE, TEMPLATE, align, pixels_per_crop_pixel
from aurum.imaging.decode import FACTORS, Encoded, InvalidImageError, Photo, accept
from aurum.imaging.faces import Faces, select_faces
from aurum.imaging.letterbox import letterbox
from aurum.pipeline.request import Options, RequestError
from aurum.settings import Settings

# One letterboxed image [H,W,3] -> its candidates and the id of the detector that answered.
Detector = Callable[[NDArray[np.uint8]], tuple[Faces, bytes]]


class Found(NamedTuple):
    """What a photo holds, in pixels of the full photo; `detector` is empty if none ran."""

    encoded: Encoded
    photo: Photo  # as the detector needed it
    faces: Faces
    detector: bytes

    @property
    def image_size(self) -> NDArray[np.int32]:
        """Width and height of the full upright photo, int32 [2]."""
        return np.array(self.encoded.size, np.int32)

    def crops(self) -> NDArray[np.uint8]:
        """The aligned crops, uint8 RGB [F,112,112,3].

        Where `photo` has fewer pixels than a crop wants, the file is decoded once more, larger.
        """
        photo, (boxes, landmarks, _) = self.photo, self.faces
        if photo.factor > 1:
            factor = _factor(pixels_per_crop_pixel(boxes, landmarks).min(initial=photo.factor))
            if factor < photo.factor:
                photo = _decode(self.encoded, factor)
            corners = photo.here(boxes[:, :2])
            boxes = np.concatenate([corners, boxes[:, 2:] / photo.factor], axis=1)
            landmarks = photo.here(landmarks)
        return align(photo.pixels, boxes, landmarks)


def find_faces(image: bytes, options: Options, settings: Settings, detect: Detector) -> Found:
    """All faces of an encoded photo, largest first, at most `options.max_faces` of them (0: all).

    Raises RequestError (``invalid_image``) for a photo that can't be decoded.
    """
    encoded = _accept(image, settings)
    # More pixels than the detector looks at: letterboxing shrinks a photo of twice its size so
    # cheaply that decoding once more for the crops would cost more than it saves.
    photo = _decode(encoded, _factor((max(encoded.size) - 1) / options.detection_size))
    faces, detector = _look(photo, options.detection_size, options, settings, detect)
    if not len(faces.scores):
        # A face that fills the frame can be too large for the detector's coarsest cells. It is
        # found at half the size, at a quarter of the cost, which only photos without faces pay.
        half = min(options.detection_size, max(encoded.size)) // 64 * 32
        if half:
            faces, detector = _look(photo, half, options, settings, detect)
    return Found(encoded, photo, faces.take(slice(options.max_faces or None)), detector)


def find_face(image: bytes, options: Options, settings: Settings, detect: Detector) -> Found:
    """The largest face of a photo; or, with `options.aligned`, the photo as the crop it is.

    Raises RequestError: ``invalid_image``, ``no_face``, or ``not_aligned`` for a photo that is said
    to be an aligned crop but isn't 112x112.
    """
    if options.aligned:
        return _aligned(_accept(image, settings))
    found = find_faces(image, options, settings, detect)
    if not len(found.faces.scores):
        raise RequestError(
            "no_face",
            f"no face was found with min_confidence={options.min_confidence:g} and "
            f"detection_size={options.detection_size}; embed_face needs a photo with a face",
        )
    return found._replace(faces=found.faces.take(slice(1)))


def _factor(most: float) -> int:
    """The largest of FACTORS that is at most `most`; at least 1."""
    return next((factor for factor in FACTORS if factor <= most), 1)


def _look(
    photo: Photo, size: int, options: Options, settings: Settings, detect: Detector
) -> tuple[Faces, bytes]:
    boxed = letterbox(photo.pixels, size)
    candidates, detector = detect(boxed.image)
    scale = boxed.scale / photo.factor
    faces = select_faces(candidates, scale, options.min_confidence, settings.nms_iou)
    faces.boxes[:, :2] += photo.start
    faces.landmarks[:] += photo.start
    return faces, detector


def _aligned(encoded: Encoded) -> Found:
    """By the sender's word its landmarks lie at the template, and its score is 1."""
    width, height = encoded.size
    photo = _decode(encoded)
    if (height, width) != (SIDE, SIDE):
        raise RequestError(
            "not_aligned",
            f"the image is {width}x{height}; with aligned=true it must be an aligned crop of "
            f"{SIDE}x{SIDE} pixels",
        )
    whole = np.array([[0, 0, SIDE, SIDE]], np.float32)
    return Found(encoded, photo, Faces(whole, TEMPLATE[None], np.ones(1, np.float32)), b"")


def _accept(image: bytes, settings: Settings) -> Encoded:
    try:
        return accept(image, settings.max_image_bytes, settings.max_image_pixels)
    except InvalidImageError as error:
        raise RequestError("invalid_image", str(error), error.reason) from None


def _decode(encoded: Encoded, factor: int = 1) -> Photo:
    try:
        return encoded.decode(factor)
    except InvalidImageError as error:
        raise RequestError("invalid_image", str(error), error.reason) from None
