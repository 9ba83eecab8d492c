"""Photos to the input data that perf_analyzer sends: one JSON file for each workload.

A server is asked where the faces are, since crops and photos of somebody are needed, too.
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

# Enough to differ from each other; more would only make the files longer.
MAX_CROPS = 32
# The models that a whole pipeline calls.
CALLED = (contract.DETECTION, contract.EMBEDDING)


class NoFacesError(OperatorError):
    """The photos have no face, so there is nothing to embed."""


@dataclass(frozen=True)
class Workload:
    """One way to call the service: a model, what it is sent, and the models that it calls."""

    name: str
    model: str
    data: Path  # perf_analyzer's JSON file
    calls: tuple[str, ...] = ()  # models that its steps call by BLS
    parameters: tuple[str, ...] = ()  # of the request: `name:value:type`


def write(photos: Sequence[Path], url: str, folder: Path, settings: Settings) -> list[Workload]:
    """Write a file for each workload into `folder`.

    Args:
        photos: encoded photos that the service accepts.
        url: the server that says where their faces are.
        folder: gets the files.
        settings: the limits of photos, and the size of the detector's input.

    Raises:
        NoFacesError: no photo has a face.
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
    """The workload `name`: these encoded photos, to `analyze_faces`.

    `faces`: whether they have any. perf_analyzer fails where a model that it was told of is not
    called.
    """
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"data": [text("image", data) for data in photos]}))
    return Workload(name, "analyze_faces", path, CALLED if faces else CALLED[:1])


def tensor(name: str, array: NDArray[np.uint8]) -> dict[str, object]:
    """An entry with a uint8 tensor; perf_analyzer adds the batch dimension itself."""
    return {name: {"content": _b64(array.tobytes()), "shape": list(array.shape)}}


def text(name: str, data: bytes) -> dict[str, object]:
    """An entry with a BYTES tensor of one element.

    perf_analyzer sends base64 content as it is decoded, without the length that comes before each
    element in Triton's binary representation of BYTES, so that it belongs into the content.
    """
    return {name: {"content": _b64(struct.pack("<I", len(data)) + data), "shape": [1]}}


def _b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode("ascii")}


def _png(crop: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", crop[..., ::-1])[1].tobytes()
