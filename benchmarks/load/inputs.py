"""Convert photos to perf_analyzer's input data: one JSON file for each workload.

A server locates the faces, since some workloads need crops or photos with faces.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from aurum_client import FaceClient
from numpy.typing import NDArray

from aurum import contract
from aurum.errors import OperatorError
from aurum.imaging.align import align
from aurum.imaging.decoding.decode import decode
from aurum.imaging.letterbox import letterbox, planar
from aurum.settings import Settings

# Enough variety; more would only make the files longer.
MAX_CROPS = 32
# Models that a complete pipeline calls.
CALLED = (contract.DETECTION, contract.EMBEDDING)


class NoFacesError(OperatorError):
    """The photos contain no face, so there is nothing to embed."""


@dataclass(frozen=True)
class Workload:
    """One way to call the service: a model, its input data, and the models that it calls."""

    name: str
    model: str
    data: Path  # perf_analyzer's JSON file
    calls: tuple[str, ...] = ()  # models that its step calls through BLS
    parameters: tuple[str, ...] = ()  # request parameters, `name:value:type`


def write(photos: Sequence[Path], url: str, folder: Path, settings: Settings) -> list[Workload]:
    """Write a file for each workload to `folder`.

    Args:
        photos: encoded photos that the service accepts.
        url: the server that locates their faces.
        folder: where to write the files.
        settings: limits of photos, and the detector's input size.

    Raises:
        NoFacesError: no photo contains a face.
        AurumError: the server did not answer, or refused a photo.
    """
    encoded = [photo.read_bytes() for photo in photos]
    letterboxed: list[NDArray[np.uint8]] = []
    crops: list[NDArray[np.uint8]] = []
    with_face: list[bytes] = []
    with FaceClient(url) as client:
        for data in encoded:
            pixels = decode(data, settings.max_image_bytes, settings.max_image_pixels)
            letterboxed.append(planar(letterbox(pixels, settings.detection_size).image))
            if faces := client.detect(data):
                with_face.append(data)
                crops.extend(align(pixels, faces.boxes, faces.landmarks))
    if not crops:
        raise NoFacesError(f"the server at {url} finds no face in {', '.join(map(str, photos))}")
    crops = crops[:MAX_CROPS]
    encoded_crops = [_png(crop) for crop in crops]

    def workload(
        name: str,
        entries: list[dict[str, object]],
        calls: tuple[str, ...] = (),
        parameters: tuple[str, ...] = (),
    ) -> Workload:
        path = folder / f"{name}.json"
        path.write_text(json.dumps({"data": entries}))
        return Workload(name, name.removesuffix("_aligned"), path, calls, parameters)

    return [
        workload(contract.DETECTION, [tensor("images", image) for image in letterboxed]),
        workload(contract.EMBEDDING, [tensor("crops", crop) for crop in crops]),
        workload("detect_faces", [text("image", data) for data in encoded], CALLED[:1]),
        workload("embed_face", [text("image", data) for data in with_face], CALLED),
        workload(
            "embed_face_aligned",
            [text("image", data) for data in encoded_crops],
            CALLED[1:],
            ("aligned:true:bool",),
        ),
        photos_of("analyze_faces", encoded, folder),
    ]


def photos_of(name: str, photos: Sequence[bytes], folder: Path, *, faces: bool = True) -> Workload:
    """Create the workload `name`, which sends these encoded photos to `analyze_faces`.

    `faces`: whether the photos contain faces. perf_analyzer fails if a declared model is never
    called.
    """
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"data": [text("image", data) for data in photos]}))
    return Workload(name, "analyze_faces", path, CALLED if faces else CALLED[:1])


def tensor(name: str, array: NDArray[np.uint8]) -> dict[str, object]:
    """Create an entry with a uint8 tensor; perf_analyzer adds the batch dimension."""
    return {name: {"content": _b64(array.tobytes()), "shape": list(array.shape)}}


def text(name: str, data: bytes) -> dict[str, object]:
    """Create an entry with a BYTES tensor of one element.

    perf_analyzer sends the decoded base64 content unchanged, without the length that Triton expects
    before each BYTES element, so the content must include it.
    """
    return {name: {"content": _b64(struct.pack("<I", len(data)) + data), "shape": [1]}}


def _b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode("ascii")}


def _png(crop: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", crop[..., ::-1])[1].tobytes()
