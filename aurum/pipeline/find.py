"""Face detection in an encoded photo, and the aligned crops of the faces."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum.imaging.align import (
    SIDE,
    TEMPLATE,
    crop_matrices,
    cut,
    cut_for_second_look,
    pixels_per_crop_pixel,
)
from aurum.imaging.decoding.decode import EncodedPhoto, Photo, accept
from aurum.imaging.decoding.limits import Limits
from aurum.imaging.faces import Candidates, Faces, as_faces
from aurum.imaging.views import plan
from aurum.pipeline.look import DetectorOutput, Looks, Models, PhotoSource
from aurum.pipeline.memory_budget import Admit
from aurum.pipeline.request import Options, RequestError
from aurum.settings import Settings
from aurum.telemetry.traces import TRACES

# The face of an aligned crop, and the matrix that maps the crop to itself.
_WHOLE_CROP = as_faces(
    Candidates(np.array([[0, 0, SIDE, SIDE]], np.float32), TEMPLATE[None], np.ones(1, np.float32))
)
_FROM_WHOLE_CROP = crop_matrices(_WHOLE_CROP.boxes, _WHOLE_CROP.landmarks)


class DetectedFaces(NamedTuple):
    """The faces of one photo, and the photo they were found in."""

    encoded: EncodedPhoto
    source: PhotoSource
    faces: Faces  # in pixels of the full photo
    detector: bytes  # the detector's id; empty if no detector ran, as for an aligned crop
    complete: bool  # False: there may be more faces, see docs/reference/contract.md

    @property
    def photo(self) -> Photo:
        """The photo at the resolution that the detector needed."""
        return self.source.coarse

    @property
    def image_size(self) -> NDArray[np.int32]:
        """Width and height of the full upright photo, int32 [2]."""
        return np.array(self.encoded.size, np.int32)

    def crops(self) -> NDArray[np.uint8]:
        """Cut the aligned crops, uint8 RGB [F,112,112,3].

        Decodes the file once more, larger, if `photo` has too few pixels for one of the crops.
        """
        if not self.detector:
            return np.ascontiguousarray(self.photo.pixels)[None]  # it is the aligned crop
        matrices = crop_matrices(self.faces.boxes, self.faces.landmarks)
        photo = self.photo
        if photo.factor > 1:
            wanted = pixels_per_crop_pixel(matrices).min(initial=photo.factor)
            photo = self.source.at(float(wanted))
            matrices = photo.matrices_from_full(matrices)
        return cut(photo.pixels, matrices)


def _decode(encoded: EncodedPhoto, factor: int) -> Photo:
    with TRACES.span("decode", factor=factor):
        return encoded.decode(factor)


def _always(need: int) -> None:
    """Admit any photo immediately."""


def find_faces(
    image: bytes, options: Options, settings: Settings, models: Models, admit: Admit = _always
) -> DetectedFaces:
    """Find all faces of an encoded photo, largest first.

    Args:
        image: the encoded file (JPEG, PNG, WebP, HEIC or AVIF), in binary or base64.
        options: of the request; at most `options.max_faces` faces are returned (0: all).
        settings: the service's limits.
        models: the models to call.
        admit: called with the number of bytes that decoding will take; returns when it may begin.

    Raises:
        InvalidImageError: the photo can't be decoded, or exceeds a limit.
    """
    encoded = accept(image, _limits(settings))
    admit(encoded.memory_needed)
    models = models._replace(detect=partial(_in_time, encoded, models))
    planned = plan(encoded.size, options.detection_size, options.tiles)
    finest = planned.finest
    # Decode to somewhat more pixels than the detector needs. Letterboxing shrinks a photo of twice
    # that size so cheaply that decoding again for the crops would cost more than it saves.
    factor = (finest.side - 1) / finest.long_side
    source = PhotoSource(partial(_decode, encoded), factor, encoded.finest)
    photo = source.coarse
    if photo.factor > 1:
        height, width = photo.pixels.shape[:2]
        planned = plan((width, height), options.detection_size, options.tiles)
    looks = Looks(source, planned, options, settings.nms_iou, models)
    with TRACES.span("look"):
        faces = looks.faces()
    if photo.factor > 1:
        faces.boxes[:] *= photo.factor
        faces.boxes[:, :2] += photo.start
        faces = faces._replace(landmarks=photo.to_full(faces.landmarks))
    return DetectedFaces(encoded, source, faces, looks.detector, looks.complete)


def find_face(
    image: bytes, options: Options, settings: Settings, models: Models, admit: Admit = _always
) -> DetectedFaces:
    """Find a photo's largest face, or take the photo as an aligned crop (`options.aligned`).

    The arguments are those of `find_faces`.

    Raises:
        InvalidImageError: the photo can't be decoded, or exceeds a limit.
        RequestError: ``no_face``; or ``not_aligned`` for an aligned crop that isn't 112x112.
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


def _aligned(
    encoded: EncodedPhoto, options: Options, models: Models, admit: Admit
) -> DetectedFaces:
    """Take the photo as an aligned crop: landmarks at the template, score 1.

    These are the sender's claims. Only the fit is measured, by a second look; it is 0 if there is
    no face.
    """
    width, height = encoded.size
    if (height, width) != (SIDE, SIDE):
        raise RequestError(
            "not_aligned",
            f"the image is {width}x{height}; with aligned=true it must be an aligned crop of "
            f"{SIDE}x{SIDE} pixels",
        )
    admit(encoded.memory_needed)
    source = PhotoSource(partial(_decode, encoded), 1)
    face = _WHOLE_CROP
    if options.refine:
        crops, _ = cut_for_second_look(source.coarse.pixels, _FROM_WHOLE_CROP)
        face = face._replace(fits=models.refine(crops)[1])
    return DetectedFaces(encoded, source, face, b"", True)


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


def _in_time(encoded: EncodedPhoto, models: Models, image: NDArray[np.uint8]) -> DetectorOutput:
    """Run the detector once, if the photo has processor time left."""
    encoded.clock.check()
    return models.detect(image)
