"""Calls of the models through Triton's business logic scripting (BLS).

Only importable inside Triton.
"""

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
from aurum.pipeline.embed import Embeddings, from_graph
from aurum.pipeline.look import DetectorOutput, Models
from aurum.releases.active import FIRST
from aurum.telemetry.record import Record
from aurum.telemetry.traces import TRACES

# The parameter that makes the ONNX Runtime backend (backends/onnxruntime) compute a call on this
# process's cores. A photo that stays on its cores never waits for another one's while they idle.
CORES = sorted(os.sched_getaffinity(0))
HERE = {"cores": f"{CORES[0]}-{CORES[-1]}"}


class ModelError(RuntimeError):
    """A model that the step called returned an error; `code` is Triton's."""

    def __init__(self, error: Any) -> None:
        super().__init__(error.message())
        self.code = error.code()


def models_of_release(versions: Mapping[str, int], record: Record) -> Models:
    """Return the models in these versions as functions.

    Args:
        versions: by model name.
        record: receives the long side of each of the detector's inputs.
    """

    def detect_and_note(image: NDArray[np.uint8]) -> DetectorOutput:
        record.sides.append(max(image.shape[:2]))
        return detect(versions, image)

    return Models(detect_and_note, partial(refine, versions), partial(embed, versions))


def detect(versions: Mapping[str, int], image: NDArray[np.uint8]) -> DetectorOutput:
    """Call `face_detection` for one letterboxed image, uint8 RGB [H,W,3]."""
    outputs = _call(
        contract.DETECTION,
        versions,
        {"images": planar(image)[None]},
        ["boxes", "landmarks", "scores", "model", "upright"],
    )
    candidates = Candidates(outputs["boxes"][0], outputs["landmarks"][0], outputs["scores"][0])
    return DetectorOutput(candidates, _bytes(outputs["model"]), float(outputs["upright"][0, 0]))


def refine(
    versions: Mapping[str, int], crops: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Call `face_landmarks` for uint8 RGB crops [n,96,96,3], at most its max_batch_size.

    Returns:
        landmarks float32 [n,5,2] in the crops' pixels, and scores float32 [n].
    """
    outputs = _call(contract.LANDMARKS, versions, {"crops": crops}, ["landmarks", "scores"])
    return outputs["landmarks"], outputs["scores"][:, 0]


def embed(versions: Mapping[str, int], crops: NDArray[np.uint8]) -> Embeddings:
    """Call `face_embedding` for uint8 RGB crops [n,112,112,3], at most its max_batch_size."""
    outputs = _call(
        contract.EMBEDDING,
        versions,
        {"crops": crops},
        ["embedding", "norm", "model", "calibration"],
    )
    return from_graph(
        outputs["embedding"], outputs["norm"], _bytes(outputs["model"]), outputs["calibration"]
    )


def judge_liveness(
    versions: Mapping[str, int], near: NDArray[np.uint8], wide: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Call `face_liveness` for uint8 RGB crops [n,80,80,3], at most its max_batch_size."""
    inputs = {"crops27": near, "crops40": wide}
    return np.asarray(_call(contract.LIVENESS, versions, inputs, ["liveness"])["liveness"][:, 0])


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
    with TRACES.span(model):
        response = request.exec()
        if response.has_error():
            raise ModelError(response.error())
    tensors = {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
    return {name: tensors[name] for name in outputs}


def _bytes(value: NDArray[Any]) -> bytes:
    name = value.reshape(-1)[0]
    return name if isinstance(name, bytes) else str(name).encode()
