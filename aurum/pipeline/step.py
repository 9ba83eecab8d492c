"""The base class of the step that Triton's Python backend runs. Only importable inside Triton.

Each process works on several photos at once: `execute` queues each request for a thread and
returns, so that Triton can deliver the next one. While one photo waits for the detector, another is
decoded (OpenCV and libjpeg-turbo release the GIL), and the models' dynamic batchers see the calls
of all photos.
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
from aurum.pipeline.models import CORES, ModelError
from aurum.pipeline.request import RequestError
from aurum.settings import Settings
from aurum.telemetry.heartbeat import Heartbeat
from aurum.telemetry.log import RequestLog
from aurum.telemetry.metrics import Counts, Publisher
from aurum.telemetry.record import Record
from aurum.telemetry.traces import TRACES

Answer = Mapping[str, NDArray[Any]]

# A process without cores of its own (set by a host policy) needs more photos at once than it has
# cores, or some would idle.
PINNED = set(CORES) != os.sched_getaffinity(os.getppid())
THREADS = min(len(CORES), 8) if PINNED else 8
# Words in Triton 2.51's errors about a model that is being stopped, or whose process has died.
TRANSIENT = ("not ready", "is stopping", "is not healthy")


class Step(ABC):
    """Answers requests in threads; counts and logs them. Triton creates one in each process."""

    pipelines: tuple[str, ...]

    @abstractmethod
    def pipeline(self, call: Call) -> str:
        """Return the pipeline, one of `pipelines`, that the request came through."""

    @abstractmethod
    def answer(self, call: Call, record: Record) -> Answer:
        """Compute the outputs by name, and fill in `record` for metrics and log."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the settings and start the threads. Triton calls this when it loads the model."""
        settings = self.settings = Settings.from_env()
        TRACES.start(settings.trace_url)
        self._counts = Counts(self.pipelines)
        self._publisher = Publisher(self._counts, _family)
        self._log = RequestLog(settings.request_log)
        self._queue = FairQueue(
            self._work,
            threads=settings.pipeline_threads or THREADS,
            max_waiting=settings.gateway_connections,
            max_bytes=settings.pipeline_memory // 4,
        )
        self._in_flight = InFlight()
        self._heartbeat = Heartbeat()

    def execute(self, requests: list[Any]) -> None:
        """Queue each request, or refuse it during shutdown; return when ready for the next one."""
        for request in requests:
            call = Call(request)
            if not self._in_flight.begin():
                self._answer(call, self._refusal)
                continue
            dropped = self._queue.put(call.header(KEY), call, len(call.image))
            if dropped:
                self._answer(dropped, _too_many)
                self._in_flight.end()
            self._queue.wait()

    def is_ready(self) -> bool:
        """Whether photos are accepted. Triton asks from release 26.03 on; 2.51 doesn't."""
        return self._in_flight.open

    def _work(self, call: Call) -> None:
        try:
            with self._heartbeat.work():
                self._answer(call, self._response)
        finally:
            self._in_flight.end()

    def _answer(self, call: Call, respond: Callable[[Call, Record], Any]) -> None:
        record = Record(self.pipeline(call), call.id)
        try:
            with TRACES.request(call.trace_context, record):
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
            call.check_not_cancelled()
            outputs = self.answer(call, record)
            return pb_utils.InferenceResponse(
                [pb_utils.Tensor(name, outputs[name]) for name in call.requested if name in outputs]
            )
        except (InvalidImageError, RequestError) as error:
            return _refused(record, error)
        except CancelledError as error:
            return _cancelled(record, str(error))
        except ModelError as error:
            # Triton reports these as internal errors of the model that was called.
            if any(words in str(error) for words in TRANSIENT):
                return _unavailable(record, str(error))
            record.fail("model", str(error))
            return _error(str(error), error.code)
        except Exception as error:
            # A bug in the service: log the traceback, and answer the client with an error.
            record.fail("internal", type(error).__name__, traceback=traceback.format_exc())
            return _error(f"[internal] {type(error).__name__}", pb_utils.TritonError.INTERNAL)

    def finalize(self) -> None:
        """Finish the accepted requests. Triton calls this when it unloads the model."""
        self._queue.close()
        self._heartbeat.close()
        self._publisher.close()
        TRACES.stop()


def _refused(record: Record, error: InvalidImageError | RequestError) -> Any:
    if isinstance(error, InvalidImageError):
        error = RequestError("invalid_image", str(error), error.reason)
    record.fail(error.code, str(error), error.reason)
    if error.code == "no_face":
        record.faces = 0
    return _error(str(error), pb_utils.TritonError.INVALID_ARG)


def _cancelled(record: Record, why: str) -> Any:
    """Answer a cancelled request; no 503, because the server is not at fault."""
    record.fail("cancelled", why)
    return _error(f"[unavailable] {why}", pb_utils.TritonError.CANCELLED)


def _too_many(call: Call, record: Record) -> Any:
    return _cancelled(
        record,
        "more photos of this API key wait than AURUM_GATEWAY_CONNECTIONS; the oldest is given up",
    )


def _unavailable(record: Record, message: str) -> Any:
    record.fail("unavailable", message)
    return _error(f"[unavailable] {message}", pb_utils.TritonError.UNAVAILABLE)


def _error(message: str, code: Any) -> Any:
    # A model's message may end in a space or a newline; then grpc-js would show none at all.
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message.rstrip(), code))


def _family(name: str, description: str) -> Any:
    return pb_utils.MetricFamily(
        name=name, description=description, kind=pb_utils.MetricFamily.COUNTER
    )
