"""Client-side orchestration: the client decodes, detects, crops and embeds, model by model.

This is the alternative to ensembles. The clients run on the server's machine, so their CPU time is
part of the measurement, as the pipelines' is in the service.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray

from aurum import contract
from aurum.imaging.faces import Candidates
from aurum.imaging.letterbox import planar
from aurum.pipeline.embed import Embeddings, from_graph
from aurum.pipeline.look import DetectorOutput, Models
from aurum.pipeline.request import parse_options
from aurum.settings import Settings
from benchmarks.baselines import in_process, plain
from benchmarks.baselines.plain import Analysis
from benchmarks.load.outcome import Load


class Orchestrator:
    """One client with its own connection."""

    def __init__(self, address: str, settings: Settings) -> None:
        # With equal options, gRPC channels would share one connection.
        own = [("grpc.use_local_subchannel_pool", 1)]
        self._client = triton.InferenceServerClient(address, channel_args=own)
        self._settings = settings
        self._options = parse_options({}, settings)
        self._models = Models(self._detect, self._refine, self._embed)

    def analyze(self, image: bytes) -> Analysis:
        """Return an encoded photo's faces, their embeddings and their quality."""
        return plain.analyze(image, self._options, self._settings, self._models)

    def _detect(self, image: NDArray[np.uint8]) -> DetectorOutput:
        names = ["boxes", "landmarks", "scores", "model", "upright"]
        boxes, landmarks, scores, model, upright = self._call(
            contract.DETECTION, "images", planar(image)[None], names
        )
        return DetectorOutput(
            Candidates(boxes[0], landmarks[0], scores[0]), model[0, 0], upright[0, 0]
        )

    def _refine(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        landmarks, scores = self._call(contract.LANDMARKS, "crops", crops, ["landmarks", "scores"])
        return landmarks, scores[:, 0]

    def _embed(self, crops: NDArray[np.uint8]) -> Embeddings:
        names = ["embedding", "norm", "model", "calibration"]
        embedding, norm, model, calibration = self._call(contract.EMBEDDING, "crops", crops, names)
        return from_graph(embedding, norm, model[0, 0], calibration)

    def _call(
        self, model: str, name: str, value: NDArray[np.uint8], outputs: list[str]
    ) -> list[Any]:
        tensor = triton.InferInput(name, list(value.shape), "UINT8")
        tensor.set_data_from_numpy(value)
        wanted = [triton.InferRequestedOutput(output) for output in outputs]
        answer = self._client.infer(model, [tensor], outputs=wanted)
        return [answer.as_numpy(output) for output in outputs]


def run(grpc_url: str, settings: Settings, photo: bytes, clients: int, seconds: float) -> Load:
    """Analyze `photo` from `clients` threads, distributed over one process per core."""
    workers = min(clients, in_process.cores())
    threads = [len(range(index, clients, workers)) for index in range(workers)]
    address = grpc_url.partition("://")[2]
    return in_process.across(threads, client, (address, settings, photo), seconds)


def client(address: str, settings: Settings, photo: bytes) -> Callable[[], object]:
    """Create work: analyze the photo with a separate client."""
    orchestrator = Orchestrator(address, settings)
    return lambda: orchestrator.analyze(photo)
