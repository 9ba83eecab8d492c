"""Calls from a step to the models, by Triton's BLS. Only importable inside Triton."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from aurum import contract
from aurum.imaging.faces import Candidates
from aurum.imaging.letterbox import planar
from aurum.pipeline.embed import Embedded, from_graph
from aurum.pipeline.look import Models, Seen
from aurum.releases.active import FIRST
from aurum.telemetry.record import Record

# Where a model is to compute what we call it for (backends/onnxruntime): a photo that stays on its
# cores never waits behind another's while they idle.
CORES = sorted(os.sched_getaffinity(0))
HERE = {"cores": f"{CORES[0]}-{CORES[-1]}"}


class UpstreamError(RuntimeError):
    """A model that a step called gave an error; it keeps Triton's code."""

    def __init__(self, error: Any) -> None:
        super().__init__(error.message())
        self.error = error


def of_release(versions: Mapping[str, int], record: Record) -> Models:
    """The models in these versions, as functions; `record` gets the detector's input sizes."""

    def detect_and_note(image: NDArray[np.uint8]) -> Seen:
        record.sides.append(max(image.shape[:2]))
        return detect(versions, image)

    return Models(detect_and_note, partial(refine, versions), partial(embed, versions))


def detect(versions: Mapping[str, int], image: NDArray[np.uint8]) -> Seen:
    """Call `face_detection` for one letterboxed image [H,W,3]; Triton batches it with others'."""
    outputs = _call(
        contract.DETECTION,
        versions,
        {"images": planar(image)[None]},
        ["boxes", "landmarks", "scores", "model", "upright"],
    )
    candidates = Candidates(outputs["boxes"][0], outputs["landmarks"][0], outputs["scores"][0])
    return Seen(candidates, _bytes(outputs["model"]), float(outputs["upright"][0, 0]))


def refine(
    versions: Mapping[str, int], crops: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Call `face_landmarks` for at most its max_batch_size crops [n,96,96,3]."""
    outputs = _call(contract.LANDMARKS, versions, {"crops": crops}, ["landmarks", "scores"])
    return outputs["landmarks"], outputs["scores"][:, 0]


def embed(versions: Mapping[str, int], crops: NDArray[np.uint8]) -> Embedded:
    """Call `face_embedding` for at most its max_batch_size crops [n,112,112,3]."""
    outputs = _call(
        contract.EMBEDDING,
        versions,
        {"crops": crops},
        ["embedding", "norm", "model", "calibration"],
    )
    return from_graph(
        outputs["embedding"], outputs["norm"], _bytes(outputs["model"]), outputs["calibration"]
    )


def _call(
    model: str,
    versions: Mapping[str, int],
    inputs: Mapping[str, NDArray[Any]],
    outputs: list[str],
) -> dict[str, NDArray[Any]]:
    request = pb_utils.InferenceRequest(
        model_name=model,
        model_version=versions.get(model, FIRST),
        inputs=[pb_utils.Tensor(name, value) for name, value in inputs.items()],
        requested_output_names=outputs,
        parameters=HERE,
        preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU),
    )
    response = request.exec()
    if response.has_error():
        raise UpstreamError(response.error())
    tensors = {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
    return {name: tensors[name] for name in outputs}


def _bytes(value: NDArray[Any]) -> bytes:
    name = value.reshape(-1)[0]
    return name if isinstance(name, bytes) else str(name).encode()
