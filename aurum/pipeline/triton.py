"""The seam between Triton's Python backend and our functions. Only importable inside Triton.

A step's process works on several photos at once: `execute` hands each request to a thread and
returns, so that Triton can deliver the next. While one photo waits for the detector another is
decoded (OpenCV and libjpeg-turbo release the GIL), and the models' dynamic batchers see the calls
of all of them.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import BoundedSemaphore
from typing import Any, Protocol

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from aurum.imaging.faces import Candidates
from aurum.imaging.letterbox import planar
from aurum.pipeline.embed import Embedded, from_graph
from aurum.pipeline.in_flight import InFlight
from aurum.pipeline.log import RequestLog
from aurum.pipeline.look import Seen
from aurum.pipeline.metrics import Counts, Publisher
from aurum.pipeline.pulse import Pulse
from aurum.pipeline.record import Record
from aurum.pipeline.request import RequestError
from aurum.pipeline.versions import FIRST
from aurum.settings import Settings

Answer = Mapping[str, NDArray[Any]]

# Where a model is to compute what we call it for (backends/onnxruntime): a photo that stays on its
# cores never waits behind another's while they idle.
CORES = sorted(os.sched_getaffinity(0))
HERE = {"cores": f"{CORES[0]}-{CORES[-1]}"}
# Without cores of its own (by a host policy) a process needs more photos at once than it has cores,
# for none to idle.
PINNED = set(CORES) != os.sched_getaffinity(os.getppid())
THREADS = min(len(CORES), 8) if PINNED else 8

# The header with the time at which nobody waits any longer (runtime.FORWARDED).
DEADLINE = "x-aurum-deadline"
# What Triton 2.51 says of a model that it stops, or whose process has died.
PASSING = ("not ready", "is stopping", "is not healthy")


class UpstreamError(RuntimeError):
    """A model that a step called gave an error; it keeps Triton's code."""

    def __init__(self, error: Any) -> None:
        super().__init__(error.message())
        self.error = error


class CancelledError(Exception):
    """Nobody waits for the answer any more."""


class Handler(Protocol):
    """What a step does with a request."""

    pipelines: tuple[str, ...]

    def pipeline(self, call: Any) -> str:
        """The one of `pipelines` that the request came through."""

    def answer(self, call: Any, record: Record) -> Answer:
        """Its outputs by name; `record` is told of what was found."""


class Step:
    """Answers requests by `handler`, several at a time, and counts and logs them."""

    def __init__(self, handler: Handler, settings: Settings) -> None:
        self._handler = handler
        self._counts = Counts(handler.pipelines)
        self._publisher = Publisher(self._counts, _family)
        self._log = RequestLog(settings.request_log)
        threads = settings.pipeline_threads or THREADS
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="photo")
        # What exceeds the threads waits in Triton's queue, where limits and metrics apply.
        self._free = BoundedSemaphore(threads)
        self._in_flight = InFlight()
        self._pulse = Pulse()

    def execute(self, requests: list[Any]) -> None:
        """Start on each request as soon as a thread is free, or refuse it while we stop."""
        for request in requests:
            if not self._in_flight.begin():
                self._send(request, self._refusal)
                continue
            self._free.acquire()
            self._pool.submit(self._answer, request)

    def _answer(self, request: Any) -> None:
        try:
            with self._pulse.work():
                self._send(request, self._response)
        finally:
            self._free.release()
            self._in_flight.end()

    def _send(self, request: Any, respond: Callable[[Any, Record], Any]) -> None:
        sender = request.get_response_sender()
        record = Record(self._handler.pipeline(request), request_id(request))
        try:
            response = respond(request, record)
            record.end()
            sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        finally:
            self._counts.add(record)
            self._log.add(record)

    def _refusal(self, request: Any, record: Record) -> Any:
        return _unavailable(record, "the server is stopping")

    def _response(self, request: Any, record: Record) -> Any:
        try:
            check_wanted(request)
            outputs = self._handler.answer(request, record)
            names = request.requested_output_names()
            return pb_utils.InferenceResponse(
                [pb_utils.Tensor(name, outputs[name]) for name in names if name in outputs]
            )
        except RequestError as error:
            record.fail(error.code, str(error), error.reason)
            if error.code == "no_face":
                record.faces = 0
            return _error(str(error), pb_utils.TritonError.INVALID_ARG)
        except CancelledError as error:
            record.fail("cancelled", str(error))
            return _error(f"[unavailable] {error}", pb_utils.TritonError.UNAVAILABLE)
        except UpstreamError as error:
            # Triton reports these as internal errors of the model that was called.
            if any(words in str(error) for words in PASSING):
                return _unavailable(record, str(error))
            record.fail("model", str(error))
            return pb_utils.InferenceResponse(error=error.error)
        except Exception as error:
            # A bug of ours: the log gets the traceback, the client an answer all the same.
            record.fail("internal", type(error).__name__, traceback=traceback.format_exc())
            return _error(f"[internal] {type(error).__name__}", pb_utils.TritonError.INTERNAL)

    def close(self) -> None:
        """Finish what was accepted."""
        self._pool.shutdown(wait=True)
        self._pulse.close()
        self._publisher.close()


def check_wanted(request: Any) -> None:
    """Raise CancelledError if whoever sent the request has gone, or its deadline has passed."""
    if request.is_cancelled():
        raise CancelledError("the request was cancelled")
    # By the edge's clock, as a Unix time. What is no number is nobody's deadline.
    with suppress(ValueError):
        if time.time() > float(_header(request, DEADLINE) or "inf"):
            raise CancelledError("the request's deadline passed before its turn came")


def while_wanted(request: Any, admit: Callable[[int], None], need: int) -> None:
    """Admit a photo, unless nobody waits for it any more by then."""
    admit(need)
    check_wanted(request)


def request_id(request: Any) -> str:
    """The edge's id (header X-Request-Id, a parameter by runtime.FORWARDED), else the client's."""
    try:
        return _header(request, "x-request-id") or str(request.request_id())
    except UnicodeDecodeError:
        return ""


def _header(request: Any, wanted: str) -> str:
    """What Triton hands on of a header as a parameter; empty where there is none."""
    with suppress(RequestError):
        for name, value in json.loads(parameters_of(request) or "{}").items():
            if name.lower() == wanted:
                return str(value)
    return ""


def parameters_of(request: Any) -> str:
    """The parameters as JSON; RequestError (``invalid_parameter``) if they are not text."""
    try:
        return str(request.parameters())
    except UnicodeDecodeError as error:
        raise RequestError(
            "invalid_parameter", f"parameters and the header X-Request-Id must be UTF-8 ({error})"
        ) from None


def image_of(request: Any) -> bytes:
    """The encoded photo: the one element of the input `image`."""
    value = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()
    return bytes(value.reshape(-1)[0])


def detect(versions: Mapping[str, int], image: NDArray[np.uint8]) -> Seen:
    """Call `face_detection` for one letterboxed image [H,W,3]; Triton batches it with others'."""
    outputs = _call(
        "face_detection",
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
    outputs = _call("face_landmarks", versions, {"crops": crops}, ["landmarks", "scores"])
    return outputs["landmarks"], outputs["scores"][:, 0]


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


def _unavailable(record: Record, message: str) -> Any:
    record.fail("unavailable", message)
    return _error(f"[unavailable] {message}", pb_utils.TritonError.UNAVAILABLE)


def _error(message: str, code: Any) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))


def _family(name: str, description: str) -> Any:
    return pb_utils.MetricFamily(
        name=name, description=description, kind=pb_utils.MetricFamily.COUNTER
    )
