"""The seam between Triton's Python backend and our functions. Only importable inside Triton.

A step's process works on several photos at once: `execute` hands each request to a thread and
returns, so that Triton can deliver the next. While one photo waits for the detector another is
decoded (OpenCV and libjpeg-turbo release the GIL), and the models' dynamic batchers see the calls
of all of them.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from aurum.imaging.faces import Faces
from aurum.imaging.letterbox import planar
from aurum.pipeline.embed import Embedded, from_graph
from aurum.pipeline.in_flight import InFlight
from aurum.pipeline.request import RequestError
from aurum.pipeline.versions import FIRST
from aurum.settings import Settings

Answer = Mapping[str, NDArray[Any]]


class UpstreamError(RuntimeError):
    """A model that a step called gave an error; it keeps Triton's code."""

    def __init__(self, error: Any) -> None:
        super().__init__(error.message())
        self.error = error


class Step:
    """Answers requests with `handle(request) -> outputs by name`, several at a time."""

    def __init__(self, handle: Callable[[Any], Answer], settings: Settings) -> None:
        self._handle = handle
        self._pool = ThreadPoolExecutor(settings.pipeline_threads, thread_name_prefix="photo")
        # What exceeds the threads waits in Triton's queue, where limits and metrics apply.
        self._free = BoundedSemaphore(settings.pipeline_threads)
        self._in_flight = InFlight()

    def execute(self, requests: list[Any]) -> None:
        """Start on each request as soon as a thread is free."""
        for request in requests:
            self._in_flight.add(1)
            self._free.acquire()
            self._pool.submit(self._answer, request)

    def _answer(self, request: Any) -> None:
        sender = request.get_response_sender()
        try:
            response = self._response(request)
            sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        finally:
            self._free.release()
            self._in_flight.add(-1)

    def _response(self, request: Any) -> Any:
        if request.is_cancelled():
            return _error("the request was cancelled", pb_utils.TritonError.UNAVAILABLE)
        try:
            outputs = self._handle(request)
            names = request.requested_output_names()
            return pb_utils.InferenceResponse(
                [pb_utils.Tensor(name, outputs[name]) for name in names if name in outputs]
            )
        except RequestError as error:
            return _error(str(error), pb_utils.TritonError.INVALID_ARG)
        except UpstreamError as error:
            # Triton reports its own stopping as an internal error of the model that was called.
            if "not ready" in str(error) or "is stopping" in str(error):
                return _error(f"[unavailable] {error}", pb_utils.TritonError.UNAVAILABLE)
            return pb_utils.InferenceResponse(error=error.error)
        except Exception as error:
            # A bug of ours: the log gets the traceback, the client an answer all the same.
            pb_utils.Logger.log_error(traceback.format_exc())
            return _error(f"[internal] {type(error).__name__}", pb_utils.TritonError.INTERNAL)

    def close(self) -> None:
        """Finish what was accepted."""
        self._pool.shutdown(wait=True)


def image_of(request: Any) -> bytes:
    """The encoded photo: the one element of the input `image`."""
    value = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()
    return bytes(value.reshape(-1)[0])


def detect(versions: Mapping[str, int], image: NDArray[np.uint8]) -> tuple[Faces, bytes]:
    """Call `face_detection` for one letterboxed image [H,W,3]; Triton batches it with others'."""
    outputs = _call(
        "face_detection",
        versions,
        {"images": planar(image)[None]},
        ["boxes", "landmarks", "scores", "model"],
    )
    faces = Faces(outputs["boxes"][0], outputs["landmarks"][0], outputs["scores"][0])
    return faces, _bytes(outputs["model"])


def embed(versions: Mapping[str, int], crops: NDArray[np.uint8]) -> Embedded:
    """Call `face_embedding` for at most its max_batch_size crops [n,112,112,3]."""
    outputs = _call(
        "face_embedding", versions, {"crops": crops}, ["embedding", "norm", "model", "calibration"]
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


def _error(message: str, code: Any) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
