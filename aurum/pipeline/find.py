"""From an encoded photo to its faces and their aligned crops."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum.imaging.align import (
    SIDE,
    TEMPLATE,
    cut,
    cut_for_second_look,
    pixels_per_crop_pixel,
    to_crops,
)
from aurum.imaging.decoding.decode import Encoded, Photo, accept
from aurum.imaging.decoding.limits import Limits
from aurum.imaging.faces import Candidates, Faces, as_faces
from aurum.imaging.views import plan
from aurum.pipeline.look import Looks, Models, Seen, Sight
from aurum.pipeline.request import Options, RequestError
from aurum.pipeline.room import Admit
from aurum.settings import Settings


class Found(NamedTuple):
    """What a photo holds, in pixels of the full photo; `detector` is empty if none ran."""

    encoded: Encoded
    sight: Sight
    faces: Faces
    detector: bytes
    complete: bool  # False: more faces may be there, see docs/reference/contract.md

    @property
    def photo(self) -> Photo:
        """The pixels as the detector needed them."""
        return self.sight.coarse

    @property
    def image_size(self) -> NDArray[np.int32]:
        """Width and height of the full upright photo, int32 [2]."""
        return np.array(self.encoded.size, np.int32)

    def crops(self) -> NDArray[np.uint8]:
        """The aligned crops, uint8 RGB [F,112,112,3].

        Where `photo` has fewer pixels than a crop wants, the file is decoded once more, larger.
        """
        matrices = to_crops(self.faces.boxes, self.faces.landmarks)
        photo = self.photo
        if photo.factor > 1:
            wanted = pixels_per_crop_pixel(matrices).min(initial=photo.factor)
            photo = self.sight.at(float(wanted))
            matrices = photo.matrices_here(matrices)
        return cut(photo.pixels, matrices)


def _always(need: int) -> None:
    """Admit any photo at once."""


def find_faces(
    image: bytes, options: Options, settings: Settings, models: Models, admit: Admit = _always
) -> Found:
    """All faces of an encoded photo, largest first, at most `options.max_faces` of them (0: all).

    `admit` is told how many bytes decoding will take, and returns when it may begin.

    Raises InvalidImageError for a photo that can't be decoded, or takes more time than it may.
    """
    encoded = accept(image, _limits(settings))
    admit(encoded.room)
    models = models._replace(detect=partial(_in_time, encoded, models))
    planned = plan(encoded.size, options.detection_size, options.tiles)
    finest = planned.finest
    # More pixels than the detector looks at: letterboxing shrinks a photo of twice its size so
    # cheaply that decoding once more for the crops would cost more than it saves.
    factor = (finest.side - 1) / finest.long_side
    sight = Sight(encoded.decode, factor, encoded.finest)
    photo = sight.coarse
    if photo.factor > 1:
        height, width = photo.pixels.shape[:2]
        planned = plan((width, height), options.detection_size, options.tiles)
    looks = Looks(sight, planned, options, settings.nms_iou, models)
    faces = looks.faces()
    if photo.factor > 1:
        faces.boxes[:] *= photo.factor
        faces.boxes[:, :2] += photo.start
        faces = faces._replace(landmarks=photo.there(faces.landmarks))
    return Found(encoded, sight, faces, looks.detector, looks.complete)


def find_face(
    image: bytes, options: Options, settings: Settings, models: Models, admit: Admit = _always
) -> Found:
    """The largest face of a photo; or, with `options.aligned`, the photo as the crop it is.

    Raises InvalidImageError; and RequestError: ``no_face``, or ``not_aligned`` for a photo that is
    said to be an aligned crop but isn't 112x112.
    """
    if options.aligned:
        return _aligned(accept(image, _limits(settings)), options, models, admit)
    found = find_faces(image, replace(options, max_faces=1), settings, models, admit)
    if not len(found.faces.scores):
        raise RequestError(
            "no_face",
            f"no face was found with min_confidence={options.min_confidence:g} and "
            f"detection_size={options.detection_size}; embed_face needs a photo with a face",
        )
    return found


def _aligned(encoded: Encoded, options: Options, models: Models, admit: Admit) -> Found:
    """By the sender's word its landmarks lie at the template, and its score is 1.

    Only the fit is seen, by a second look: where there is no face at all, it is 0.
    """
    width, height = encoded.size
    if (height, width) != (SIDE, SIDE):
        raise RequestError(
            "not_aligned",
            f"the image is {width}x{height}; with aligned=true it must be an aligned crop of "
            f"{SIDE}x{SIDE} pixels",
        )
    admit(encoded.room)
    sight = Sight(encoded.decode, 1)
    whole = np.array([[0, 0, SIDE, SIDE]], np.float32)
    face = as_faces(Candidates(whole, TEMPLATE[None], np.ones(1, np.float32)))
    if options.refine:
        matrices = to_crops(face.boxes, face.landmarks)
        crops, _ = cut_for_second_look(sight.coarse.pixels, matrices)
        face = face._replace(fits=models.refine(crops)[1])
    return Found(encoded, sight, face, b"", True)


def _limits(settings: Settings) -> Limits:
    return Limits(
        bytes=settings.max_image_bytes,
        base64_bytes=settings.max_base64_bytes,
        pixels=settings.max_image_pixels,
        jpeg_pixels=settings.max_jpeg_pixels,
        memory=settings.max_photo_memory,
        seconds=settings.max_photo_seconds,
        heic=settings.heic,
    )


def _in_time(encoded: Encoded, models: Models, image: NDArray[np.uint8]) -> Seen:
    """Look once more, if the photo has time left."""
    encoded.clock.check()
    return models.detect(image)
