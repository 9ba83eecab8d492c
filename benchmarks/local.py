"""The served graphs and the service's image code, called in process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from aurum.imaging.faces import Faces
from aurum.imaging.letterbox import planar
from aurum.models import build
from aurum.pipeline.embed import Embedded, embed_crops, from_graph
from aurum.pipeline.find import Found, find_faces
from aurum.pipeline.judge import judge
from aurum.pipeline.request import parse_options
from aurum.settings import Settings
from benchmarks import plain

PLAIN, SERVED = "plain", "served"


class LocalService:
    """What `analyze_faces` does, with one thread and no server.

    `graphs` are the served graphs by name, as `aurum.models.build.prepare` gives them.
    """

    def __init__(self, graphs: Mapping[str, Path], settings: Settings) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._sessions = {
            name: ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            for name, path in graphs.items()
        }
        self._settings = settings
        self._options = parse_options("", settings)

    def analyze(self, image: bytes) -> plain.Analysis:
        """The faces of an encoded photo, their embeddings and their quality."""
        found = self.find(image)
        crops = found.crops()
        embedded = embed_crops(crops, self.embed)
        return plain.Analysis(found.faces, embedded.embeddings, *judge(found, crops, embedded))

    def find(self, image: bytes) -> Found:
        """The faces of an encoded photo, which can cut their crops."""
        return find_faces(image, self._options, self._settings, self._detect)

    def _detect(self, image: NDArray[np.uint8]) -> tuple[Faces, bytes]:
        names = ["boxes", "landmarks", "scores", "model"]
        boxes, landmarks, scores, model = self._sessions["face_detection"].run(
            names, {"images": planar(image)[None]}
        )
        return Faces(boxes[0], landmarks[0], scores[0]), str(model[0, 0]).encode()

    def embed(self, crops: NDArray[np.uint8]) -> Embedded:
        """The embeddings of crops uint8 RGB [n,112,112,3]."""
        embedding, norm, model, calibration = self._sessions["face_embedding"].run(
            ["embedding", "norm", "model", "calibration"], {"crops": crops}
        )
        return from_graph(embedding, norm, str(model[0, 0]).encode(), calibration)


def load(kind: str, settings: Settings) -> LocalService | plain.PlainService:
    """The service in this process: over the `plain` upstream files, or over the `served` graphs.

    Where there is no plain service of the profile (simulated models have no upstream), the served
    graphs stand in for it.
    """
    upstream = plain.load(settings) if kind == PLAIN else None
    return upstream or LocalService(build.prepare(settings).graphs, settings)
