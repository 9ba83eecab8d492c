"""The base of the pipelines' steps on Triton's Python backend. Only importable inside Triton.

A step's process works on several photos at once: `execute` queues each request for a thread and
returns, so that Triton can deliver the next. While one photo waits for the detector another is
decoded (OpenCV and libjpeg-turbo release the GIL), and the models' dynamic batchers see the calls
of all of them.
"""

from __future__ import annotations

import os
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from aurum.drain import InFlight
from aurum.imaging.decoding.refusal import InvalidImageError
from aurum.pipeline.call import KEY, Call, CancelledError
from aurum.pipeline.fair_queue import FairQueue
from aurum.pipeline.models import CORES, UpstreamError
from aurum.pipeline.request import RequestError
from aurum.settings import Settings
from aurum.telemetry.heartbeat import Pulse
from aurum.telemetry.log import RequestLog
from aurum.telemetry.metrics import Counts, Publisher
from aurum.telemetry.record import Record

Answer = Mapping[str, NDArray[Any]]

# Without cores of its own (by a host policy) a process needs more photos at once than it has cores,
# for none to idle.
PINNED = set(CORES) != os.sched_getaffinity(os.getppid())
THREADS = min(len(CORES), 8) if PINNED else 8
# What Triton 2.51 says of a model that it stops, or whose process has died.
PASSING = ("not ready", "is stopping", "is not healthy")


class Step(ABC):
    """Answers requests in threads, and counts and logs them. Triton makes one for each process."""

    pipelines: tuple[str, ...]

    @abstractmethod
    def pipeline(self, call: Call) -> str:
        """The one of `pipelines` that the request came through."""

    @abstractmethod
    def answer(self, call: Call, record: Record) -> Answer:
        """The outputs by name; `record` gets what metrics and log say of the photo."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the settings once. Triton calls this when it loads the model."""
        settings = self.settings = Settings.from_env()
        self._counts = Counts(self.pipelines)
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
        record = Record(self.pipeline(call), call.id)
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
            outputs = self.answer(call, record)
            return pb_utils.InferenceResponse(
                [pb_utils.Tensor(name, outputs[name]) for name in call.wanted if name in outputs]
            )
        except (InvalidImageError, RequestError) as error:
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

    def finalize(self) -> None:
        """Finish what was accepted. Triton calls this when it unloads the model."""
        self._queue.close()
        self._pulse.close()
        self._publisher.close()


def _refused(record: Record, error: InvalidImageError | RequestError) -> Any:
    if isinstance(error, InvalidImageError):
        error = RequestError("invalid_image", str(error), error.reason)
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
