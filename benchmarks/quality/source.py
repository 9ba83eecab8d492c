"""Sources of measurements: the models in process, or a running service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tritonclient.http as triton
from numpy.typing import NDArray

from aurum import contract
from aurum.models import build
from aurum.paths import PHOTO
from aurum.quality.parts import PARTS, as_upright
from aurum.settings import Settings
from benchmarks.baselines.local import LocalService


class Measured(NamedTuple):
    """The F measured faces of a photo."""

    boxes: NDArray[np.float32]  # [F,4] pixels
    parts: NDArray[np.float32]  # [F,K], columns as in PARTS, for upright faces
    embeddings: NDArray[np.float32]  # [F,512]
    quality: NDArray[np.float32]  # [F]


# Measures the faces of one encoded photo.
Source = Callable[[bytes], Measured]


class Local(LocalService):
    """The served graphs in process, with the quality of their faces. Thread-safe."""

    def __init__(self, settings: Settings, **parameters: Any) -> None:
        prepared = build.prepare(settings)
        if prepared.simulated:
            raise RuntimeError("simulated models' embeddings are meaningless for quality")
        super().__init__(prepared.graphs, settings, **parameters)
        self.embedder = prepared.ids[contract.EMBEDDING]
        self.calibration = prepared.profile.embedder.calibration

    def __call__(self, image: bytes) -> Measured:
        """Measure one photo."""
        faces, embeddings, assessment = self.analyze(image)
        parts = as_upright(assessment.parts, faces.rotations)
        return Measured(faces.boxes, parts, embeddings, assessment.quality)


def service(url: str) -> tuple[Source, str]:
    """Return a source that calls the service at `url` (host:port, HTTP), and the embedder's id."""

    def infer(image: bytes) -> triton.InferResult:
        # One client per call, since threads must not share a client.
        with triton.InferenceServerClient(url, network_timeout=60) as client:
            photo = triton.InferInput("image", [1], "BYTES")
            photo.set_data_from_numpy(np.array([image], object))
            return client.infer("analyze_faces", [photo])

    def ask(image: bytes) -> Measured:
        answer = infer(image)
        parts = answer.as_numpy("quality_parts")
        if parts is None or parts.shape[1:] != (len(PARTS),):
            raise RuntimeError(f"{url} has no quality_parts of {len(PARTS)} columns")
        rotations = answer.as_numpy("rotations")
        if rotations is not None:  # older servers did not search turned photos
            parts = as_upright(parts, rotations)
        return Measured(
            answer.as_numpy("boxes"),
            parts,
            answer.as_numpy("embeddings"),
            answer.as_numpy("quality"),
        )

    return ask, str(infer(PHOTO.read_bytes()).as_numpy("models")[1].decode())
