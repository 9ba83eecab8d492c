"""The service's pipeline in process: the served graphs and its image code, without a server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from aurum import contract
from aurum.imaging.faces import Candidates
from aurum.imaging.letterbox import planar
from aurum.models import build
from aurum.pipeline.embed import Embeddings, from_graph
from aurum.pipeline.find import DetectedFaces, find_faces
from aurum.pipeline.look import DetectorOutput, Models
from aurum.pipeline.request import parse_options
from aurum.settings import Settings
from benchmarks.baselines import plain

PLAIN, SERVED = "plain", "served"


class LocalService:
    """`analyze_faces` with one thread and no server.

    `graphs` are the served graphs by name, from `aurum.models.build.prepare`; `parameters` are
    those of a request.
    """

    def __init__(self, graphs: Mapping[str, Path], settings: Settings, **parameters: Any) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._sessions = {
            name: ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            for name, path in graphs.items()
        }
        self._settings = settings
        self._options = parse_options(parameters, settings)
        self.models = Models(self._detect, self._refine, self._embed)

    def analyze(self, image: bytes) -> plain.Analysis:
        """Return an encoded photo's faces, their embeddings and their quality."""
        return plain.analyze(image, self._options, self._settings, self.models)

    def find(self, image: bytes) -> DetectedFaces:
        """Find the faces of an encoded photo; the result can cut their crops."""
        return find_faces(image, self._options, self._settings, self.models)

    def _detect(self, image: NDArray[np.uint8]) -> DetectorOutput:
        names = ["boxes", "landmarks", "scores", "model", "upright"]
        boxes, landmarks, scores, model, upright = self._sessions[contract.DETECTION].run(
            names, {"images": planar(image)[None]}
        )
        candidates = Candidates(boxes[0], landmarks[0], scores[0])
        return DetectorOutput(candidates, str(model[0, 0]).encode(), float(upright[0, 0]))

    def _refine(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        landmarks, scores = self._sessions[contract.LANDMARKS].run(
            ["landmarks", "scores"], {"crops": crops}
        )
        return landmarks, scores[:, 0]

    def _embed(self, crops: NDArray[np.uint8]) -> Embeddings:
        embedding, norm, model, calibration = self._sessions[contract.EMBEDDING].run(
            ["embedding", "norm", "model", "calibration"], {"crops": crops}
        )
        return from_graph(embedding, norm, str(model[0, 0]).encode(), calibration)


def load(kind: str, settings: Settings) -> LocalService | plain.PlainService:
    """Load the service in process, with the `plain` upstream files or the `served` graphs.

    If the profile has no plain service (simulated models have no upstream), use the served graphs.
    """
    upstream = plain.load(settings) if kind == PLAIN else None
    return upstream or LocalService(build.prepare(settings).graphs, settings)
