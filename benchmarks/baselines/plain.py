"""The plain baseline: upstream model files with onnxruntime, as one would write it without Triton.

The image code is ours (decode, letterbox, looks, align). Normalization and decoding, which the
served graphs contain, are vectorized NumPy and OpenCV here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from aurum.imaging.align import SECOND_SIDE, SECOND_TEMPLATE
from aurum.imaging.faces import Candidates, Faces
from aurum.models import manifest, pull
from aurum.models.families import detector
from aurum.models.manifest import Profile
from aurum.pipeline.assessment import QualityAssessment, assess_quality
from aurum.pipeline.embed import Embeddings, embed_crops
from aurum.pipeline.find import find_faces
from aurum.pipeline.look import DetectorOutput, Models
from aurum.pipeline.request import Options, parse_options
from aurum.settings import Settings

STRIDES = (8, 16, 32)


class Analysis(NamedTuple):
    """The result of `analyze_faces` for a photo with F faces."""

    faces: Faces
    embeddings: NDArray[np.float32]  # [F,512]
    assessment: QualityAssessment


class PlainService:
    """YuNet and an embedder for 112x112 crops, each in a session with one thread."""

    def __init__(self, profile: Profile, paths: Mapping[str, Path], settings: Settings) -> None:
        assert profile.embedder.input is not None
        self._detector = _session(paths[profile.detector.name])
        self._embedder = _session(paths[profile.embedder.name])
        self._input = profile.embedder.input
        self._embedder_id = str(profile.embedder.id).encode()
        self._detector_id = str(profile.detector.id).encode()
        self._upright = profile.detector.upright_fit
        self._settings = settings
        self._options = parse_options({}, settings)
        self._models = Models(self._detect, self._refine, self._embed)
        self._names = [
            f"{head}_{stride}" for head in ("cls", "obj", "bbox", "kps") for stride in STRIDES
        ]

    def analyze(self, image: bytes) -> Analysis:
        """Return an encoded photo's faces, their embeddings and their quality."""
        return analyze(image, self._options, self._settings, self._models)

    def _detect(self, image: NDArray[np.uint8]) -> DetectorOutput:
        blob = cv2.dnn.blobFromImage(image, swapRB=True)
        least = self._options.min_confidence
        candidates = self._candidates(blob, image.shape[1], least)[0]
        best = np.argsort(-candidates.scores, kind="stable")
        return DetectorOutput(candidates.take(best), self._detector_id, self._upright)

    def _refine(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Compute what the graph face_landmarks does, from each crop and its mirror image."""
        both = [*crops, *crops[:, :, ::-1]]
        blob = cv2.dnn.blobFromImages(both, swapRB=True)
        points = np.zeros((len(both), 5, 2), np.float32)
        scores = np.zeros(len(both), np.float32)
        found = self._candidates(blob, SECOND_SIDE, detector.LEAST_SCORE)
        for index, (_, landmarks, sure) in enumerate(found):
            seen = landmarks
            if index >= len(crops):
                seen = landmarks[:, detector.MIRRORED] * (-1, 1) + (SECOND_SIDE - 1, 0)
            near = np.abs(seen - SECOND_TEMPLATE).max(axis=(1, 2)) < detector.NEAR
            if near.any():
                weights = sure[near] ** detector.POWER
                points[index] = np.average(seen[near], axis=0, weights=weights)
                scores[index] = sure[near].max()
        points, scores = points.reshape(2, -1, 5, 2), scores.reshape(2, -1)
        looks = np.maximum(np.count_nonzero(scores, axis=0), 1)
        return points.sum(axis=0) / looks[:, None, None], scores.mean(axis=0)

    def _candidates(
        self, blob: NDArray[Any], width: int, min_confidence: float
    ) -> list[Candidates]:
        """Return the candidates with at least that score, for each image of a blob [N,3,H,W]."""
        heads = self._detector.run(self._names, {"input": blob})
        found = []
        for image in range(len(blob)):
            levels = [
                decode_yunet(
                    [head[image] for head in heads[level::3]], stride, width, min_confidence
                )
                for level, stride in enumerate(STRIDES)
            ]
            found.append(Candidates(*(np.concatenate(part) for part in zip(*levels, strict=True))))
        return found

    def _embed(self, crops: NDArray[np.uint8]) -> Embeddings:
        facts = self._input
        blob = cv2.dnn.blobFromImages(
            list(crops), 1 / facts.std, (112, 112), (facts.mean,) * 3, swapRB=facts.color == "BGR"
        )
        (raw,) = self._embedder.run(None, {self._embedder.get_inputs()[0].name: blob})
        norms = np.linalg.norm(raw, axis=1)
        return Embeddings(raw / norms[:, None], norms, self._embedder_id, np.zeros(0, np.float32))


def analyze(image: bytes, options: Options, settings: Settings, models: Models) -> Analysis:
    """Run `analyze_faces` with the given models."""
    found = find_faces(image, options, settings, models)
    crops = found.crops()
    embedded = embed_crops(crops, models.embed)
    return Analysis(found.faces, embedded.embeddings, assess_quality(found, crops, embedded))


def decode_yunet(
    heads: list[NDArray[np.float32]], stride: int, width: int, min_confidence: float
) -> Candidates:
    """Decode the candidates of one level that have at least `min_confidence`.

    `heads` are cls, obj [A,1], bbox [A,4] and kps [A,10]; formulas: aurum.models.families.yunet.
    """
    cls, obj, bbox, kps = heads
    sure = np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1)
    index = np.flatnonzero(sure >= min_confidence**2)
    row, column = np.divmod(index, width // stride)
    cell = np.stack([column, row], axis=1).astype(np.float32)
    size = np.exp(bbox[index, 2:]) * stride
    corner = (cell + bbox[index, :2]) * stride - size / 2
    points = (kps[index].reshape(-1, 5, 2) + cell[:, None]) * stride
    return Candidates(np.concatenate([corner, size], axis=1), points, np.sqrt(sure[index]))


def load(settings: Settings) -> PlainService | None:
    """Load the plain service of the settings' profile; None for other model families."""
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
