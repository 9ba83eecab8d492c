"""The seam between Triton's Python backend and our functions. Only importable inside Triton.

A step's process works on several photos at once: `execute` queues each request for a thread and
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
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from aurum.drain import InFlight
from aurum.imaging.faces import Candidates
from aurum.imaging.letterbox import planar
from aurum.pipeline.embed import Embedded, from_graph
from aurum.pipeline.fair_queue import FairQueue
from aurum.pipeline.look import Seen
from aurum.pipeline.request import RequestError
from aurum.releases.active import FIRST
from aurum.settings import Settings
from aurum.telemetry.heartbeat import Pulse
from aurum.telemetry.log import RequestLog
from aurum.telemetry.metrics import Counts, Publisher
from aurum.telemetry.record import Record

Answer = Mapping[str, NDArray[Any]]

# Where a model is to compute what we call it for (backends/onnxruntime): a photo that stays on its
# cores never waits behind another's while they idle.
CORES = sorted(os.sched_getaffinity(0))
HERE = {"cores": f"{CORES[0]}-{CORES[-1]}"}
# Without cores of its own (by a host policy) a process needs more photos at once than it has cores,
# for none to idle.
PINNED = set(CORES) != os.sched_getaffinity(os.getppid())
THREADS = min(len(CORES), 8) if PINNED else 8

# Headers of the gateway's own that Triton hands on as parameters (runtime.FORWARDED): the time at
# which nobody waits any longer, and whose photo it is.
DEADLINE = "x-aurum-deadline"
KEY = "x-aurum-key"
# What Triton 2.51 says of a model that it stops, or whose process has died.
PASSING = ("not ready", "is stopping", "is not healthy")


class UpstreamError(RuntimeError):
    """A model that a step called gave an error; it keeps Triton's code."""

    def __init__(self, error: Any) -> None:
        super().__init__(error.message())
        self.error = error


class CancelledError(Exception):
    """Nobody waits for the answer any more."""


class Call:
    """A request, copied out of the memory shared with Triton, and the way to answer it."""

    def __init__(self, request: Any) -> None:
        value = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()
        self.image = bytes(value.reshape(-1)[0])  # the encoded photo
        self.wanted: list[str] = list(request.requested_output_names())
        self._sender = request.get_response_sender()
        # What is no UTF-8 is an error where it is asked for.
        self._id = ""
        with suppress(UnicodeDecodeError):
            self._id = str(request.request_id())
        self._parameters: str | None = None
        with suppress(UnicodeDecodeError):
            self._parameters = str(request.parameters())

    @property
    def parameters(self) -> str:
        """The parameters as JSON; RequestError (``invalid_parameter``) if they are not text."""
        if self._parameters is None:
            raise RequestError(
                "invalid_parameter", "parameters and the header X-Request-Id must be UTF-8"
            )
        return self._parameters

    def header(self, wanted: str) -> str:
        """What Triton hands on of a header as a parameter; empty where there is none."""
        for name, value in json.loads(self._parameters or "{}").items():
            if name.lower() == wanted:
                return str(value)
        return ""

    @property
    def id(self) -> str:
        """The gateway's (header X-Request-Id), else the client's."""
        return self.header("x-request-id") or self._id

    def check_wanted(self) -> None:
        """Raise CancelledError if whoever sent it has gone, or its deadline has passed."""
        if self._sender.is_cancelled():
            raise CancelledError("the request was cancelled")
        # By the gateway's clock, as a Unix time. What is no number is nobody's deadline.
        with suppress(ValueError):
            if time.time() > float(self.header(DEADLINE) or "inf"):
                raise CancelledError("the request's deadline passed before its turn came")

    def send(self, response: Any) -> None:
        """Answer it."""
        self._sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


class Handler(Protocol):
    """What a step does with a request."""

    pipelines: tuple[str, ...]

    def pipeline(self, call: Call) -> str:
        """The one of `pipelines` that the request came through."""

    def answer(self, call: Call, record: Record) -> Answer:
        """Its outputs by name; `record` is told of what was found."""


class Step:
    """Answers requests by `handler`, several at a time, and counts and logs them."""

    def __init__(self, handler: Handler, settings: Settings) -> None:
        self._handler = handler
        self._counts = Counts(handler.pipelines)
        self._publisher = Publisher(self._counts, _family)
        self._log = RequestLog(settings.request_log)
        self._queue = FairQueue(
            self._work,
            threads=settings.pipeline_threads or THREADS,
            most_waiting=settings.gateway_connections,
            most_bytes=settings.pipeline_memory // 4,
        )
        self._in_flight = InFlight()
        self._pulse = Pulse()

    def execute(self, requests: list[Any]) -> None:
        """Queue each request, or refuse it while we stop. Returns when we can take the next."""
        for request in requests:
            call = Call(request)
            if not self._in_flight.begin():
                self._answer(call, self._refusal)
                continue
            given_up = self._queue.put(call.header(KEY), call, len(call.image))
            if given_up:
                self._answer(given_up, _too_many)
                self._in_flight.end()
            self._queue.wait()

    def _work(self, call: Call) -> None:
        try:
            with self._pulse.work():
                self._answer(call, self._response)
        finally:
            self._in_flight.end()

    def _answer(self, call: Call, respond: Callable[[Call, Record], Any]) -> None:
        record = Record(self._handler.pipeline(call), call.id)
        try:
            response = respond(call, record)
            record.end()
            call.send(response)
        finally:
            self._counts.add(record)
            self._log.add(record)

    def _refusal(self, call: Call, record: Record) -> Any:
        return _unavailable(record, "the server is stopping")

    def _response(self, call: Call, record: Record) -> Any:
        try:
            call.check_wanted()
            outputs = self._handler.answer(call, record)
            return pb_utils.InferenceResponse(
                [pb_utils.Tensor(name, outputs[name]) for name in call.wanted if name in outputs]
            )
        except RequestError as error:
            return _refused(record, error)
        except CancelledError as error:
            return _given_up(record, str(error))
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
        self._queue.close()
        self._pulse.close()
        self._publisher.close()


def while_wanted(call: Call, admit: Callable[[int], None], need: int) -> None:
    """Admit a photo, unless nobody waits for it any more by then."""
    admit(need)
    call.check_wanted()


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


def _refused(record: Record, error: RequestError) -> Any:
    record.fail(error.code, str(error), error.reason)
    if error.code == "no_face":
        record.faces = 0
    return _error(str(error), pb_utils.TritonError.INVALID_ARG)


def _given_up(record: Record, why: str) -> Any:
    """Nobody waits for this. What a caller brings about is no 503, which speaks of the server."""
    record.fail("cancelled", why)
    return _error(f"[unavailable] {why}", pb_utils.TritonError.CANCELLED)


def _too_many(call: Call, record: Record) -> Any:
    return _given_up(
        record,
        "more photos of this API key wait than AURUM_GATEWAY_CONNECTIONS; the oldest is given up",
    )


def _unavailable(record: Record, message: str) -> Any:
    record.fail("unavailable", message)
    return _error(f"[unavailable] {message}", pb_utils.TritonError.UNAVAILABLE)


def _error(message: str, code: Any) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))


def _family(name: str, description: str) -> Any:
    return pb_utils.MetricFamily(
        name=name, description=description, kind=pb_utils.MetricFamily.COUNTER
    )
