"""The upstream model files with plain onnxruntime: what an engineer would write without Triton.

The image code is ours (decode, letterbox, align); what the served graphs hold beside the models,
normalization and decoding, is vectorized NumPy and OpenCV here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from aurum.imaging.align import align
from aurum.imaging.decode import InvalidImageError, decode
from aurum.imaging.faces import Faces, select_faces
from aurum.imaging.letterbox import letterbox
from aurum.imaging.quality import quality, quality_parts
from aurum.models import manifest, pull
from aurum.models.manifest import Profile
from aurum.pipeline.request import RequestError
from aurum.settings import Settings

STRIDES = (8, 16, 32)


class Analysis(NamedTuple):
    """What `analyze_faces` says of a photo's F faces."""

    faces: Faces
    embeddings: NDArray[np.float32]  # [F,512]
    quality: NDArray[np.float32]  # [F]
    parts: NDArray[np.float32]  # [F,K]


class PlainService:
    """YuNet and an embedder of 112x112 crops, each in one session with one thread."""

    def __init__(self, profile: Profile, paths: Mapping[str, Path], settings: Settings) -> None:
        assert profile.embedder.input is not None
        self._detector = _session(paths[profile.detector.name])
        self._embedder = _session(paths[profile.embedder.name])
        self._input = profile.embedder.input
        self._embedder_id = str(profile.embedder.id)
        self._settings = settings
        self._names = [
            f"{head}_{stride}" for head in ("cls", "obj", "bbox", "kps") for stride in STRIDES
        ]

    def analyze(self, image: bytes) -> Analysis:
        """The faces of an encoded photo, their embeddings and their quality."""
        settings = self._settings
        try:
            photo = decode(image, settings.max_image_bytes, settings.max_image_pixels)
        except InvalidImageError as error:
            raise RequestError("invalid_image", str(error)) from None
        boxed = letterbox(photo, settings.detection_size)
        candidates = self._detect(boxed.image)
        faces = select_faces(candidates, boxed.scale, settings.min_confidence, settings.nms_iou)
        crops = align(photo, faces.boxes, faces.landmarks)
        embeddings, norms = self._embed(crops)
        size = (photo.shape[1], photo.shape[0])
        parts = quality_parts(size, crops, *faces, norms, embeddings, self._embedder_id)
        return Analysis(faces, embeddings, quality(parts, self._embedder_id), parts)

    def _detect(self, image: NDArray[np.uint8]) -> Faces:
        blob = cv2.dnn.blobFromImage(image, swapRB=True)
        heads = self._detector.run(self._names, {"input": blob})
        levels = [
            decode_yunet([head[0] for head in heads[level::3]], stride, image, self._settings)
            for level, stride in enumerate(STRIDES)
        ]
        boxes, landmarks, scores = (np.concatenate(parts) for parts in zip(*levels, strict=True))
        best = np.argsort(-scores, kind="stable")
        return Faces(boxes, landmarks, scores).take(best)

    def _embed(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if not len(crops):
            return np.zeros((0, 512), np.float32), np.zeros((0, 1), np.float32)
        facts = self._input
        blob = cv2.dnn.blobFromImages(
            list(crops), 1 / facts.std, (112, 112), (facts.mean,) * 3, swapRB=facts.color == "BGR"
        )
        (raw,) = self._embedder.run(None, {self._embedder.get_inputs()[0].name: blob})
        norms = np.linalg.norm(raw, axis=1, keepdims=True)
        return raw / norms, norms


def decode_yunet(
    heads: list[NDArray[np.float32]], stride: int, image: NDArray[np.uint8], settings: Settings
) -> Faces:
    """The candidates of one level that are sure enough; only these are decoded.

    `heads` are cls, obj [A,1], bbox [A,4] and kps [A,10]; formulas: aurum.models.families.yunet.
    """
    cls, obj, bbox, kps = heads
    sure = np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1)
    index = np.flatnonzero(sure >= settings.min_confidence**2)
    row, column = np.divmod(index, image.shape[1] // stride)
    cell = np.stack([column, row], axis=1).astype(np.float32)
    size = np.exp(bbox[index, 2:]) * stride
    corner = (cell + bbox[index, :2]) * stride - size / 2
    points = (kps[index].reshape(-1, 5, 2) + cell[:, None]) * stride
    return Faces(np.concatenate([corner, size], axis=1), points, np.sqrt(sure[index]))


def load(settings: Settings) -> PlainService | None:
    """The plain service of the profile that the settings choose; None for other families."""
    choice = pull.choose_profile(manifest.load(), settings)
    profile = choice.profile
    if profile is None or (profile.detector.family, profile.embedder.family) != (
        "yunet",
        "arcface",
    ):
        return None
    return PlainService(profile, choice.paths, settings)


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
