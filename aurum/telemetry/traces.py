"""OpenTelemetry spans of a request inside the step: its parts, and its calls to the models.

Triton decides which requests are traced (AURUM_TRACE_RATE, or a sampled ``traceparent``) and
exports its own spans. Ours are children of Triton's span of the step and go to the same collector
(AURUM_TRACE_URL). Where traces are off, nothing of OpenTelemetry is imported.

The spans are sent as OTLP over HTTP in its JSON encoding (opentelemetry.io/docs/specs/otlp): the
SDK's own exporters need another protobuf than tritonclient 2.51.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aurum.contract import SERVER_FAULTS
from aurum.telemetry.log import MAX_ID

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Tracer

    from aurum.telemetry.record import Record

TIMEOUT = 5  # seconds for the collector to accept a batch
SERVICE, SCOPE = "aurum", "aurum.pipeline"
PHOTO = "photo"  # a request's span in the step

Value = str | bool | int | float


class Traces:
    """The spans of one process; `start` must come before any request.

    A photo is worked on by one thread, so the span that is open in a thread is the parent of the
    next one that opens there.
    """

    def __init__(self) -> None:
        self._tracer: Tracer | None = None
        self._provider: Any = None

    def start(self, url: str) -> None:
        """Export to the OTLP endpoint `url` from now on; nothing where it is empty."""
        if not url:
            return
        # Memory: 4 MB that only a traced server pays for.
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        self._provider = TracerProvider(resource=Resource({"service.name": SERVICE}))
        self._provider.add_span_processor(BatchSpanProcessor(_exporter(url)))
        self._tracer = self._provider.get_tracer(SCOPE)

    @property
    def on(self) -> bool:
        """Whether any request may be traced."""
        return self._tracer is not None

    def stop(self) -> None:
        """Send what is left."""
        if self._provider:
            self._provider.shutdown()

    @contextmanager
    def request(self, context: str, record: Record) -> Iterator[None]:
        """The span `photo` of a request, with what `record` says at its end.

        Args:
            context: the W3C trace context of Triton's span of the step, as JSON; empty where
                Triton doesn't trace this request, which then has no span.
            record: of this request.
        """
        if self._tracer is None or not context:
            yield
            return
        from opentelemetry.trace import StatusCode  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        parent = TraceContextTextMapPropagator().extract(json.loads(context))
        with self._tracer.start_as_current_span(PHOTO, parent) as span:
            yield
            span.set_attribute("aurum.pipeline", record.pipeline)
            span.set_attribute("aurum.request_id", record.request_id[:MAX_ID])
            span.set_attribute("aurum.code", record.code)
            if record.code in SERVER_FAULTS:
                span.set_status(StatusCode.ERROR)
            if record.faces is not None:
                span.set_attribute("aurum.faces", record.faces)

    @contextmanager
    def span(self, name: str, **attributes: Value) -> Iterator[None]:
        """A part of the request that this thread works on; nothing where it is not traced."""
        if self._tracer is None or not _recording():
            yield
            return
        with self._tracer.start_as_current_span(name, attributes=attributes):
            yield


TRACES = Traces()


def _recording() -> bool:
    from opentelemetry.trace import get_current_span  # noqa: PLC0415

    return get_current_span().is_recording()


def _exporter(url: str) -> Any:
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult  # noqa: PLC0415

    class Exporter(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            request = urllib.request.Request(  # noqa: S310 - http(s), checked by the setting
                url, encoded(spans), {"Content-Type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310
                    return SpanExportResult.SUCCESS
            except OSError as error:
                print(f"aurum: {len(spans)} spans were lost: {url}: {error}", file=sys.stderr)
                return SpanExportResult.FAILURE

    return Exporter()


def encoded(spans: Sequence[ReadableSpan]) -> bytes:
    """An ExportTraceServiceRequest of one process's spans, in OTLP's JSON encoding."""
    resource = {"attributes": _attributes(spans[0].resource.attributes)}
    scope = {"scope": {"name": SCOPE}, "spans": [_span(span) for span in spans]}
    content = {"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}
    return json.dumps(content).encode()


def _span(span: ReadableSpan) -> dict[str, Any]:
    parent = {"parentSpanId": f"{span.parent.span_id:016x}"} if span.parent else {}
    return {
        "traceId": f"{span.context.trace_id:032x}",
        "spanId": f"{span.context.span_id:016x}",
        **parent,
        "name": span.name,
        "kind": 1,  # internal
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes(span.attributes or {}),
        "status": {"code": span.status.status_code.value},
    }


def _attributes(values: Any) -> list[dict[str, Any]]:
    kinds = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    return [
        # 64-bit integers are strings in protobuf's JSON.
        {"key": key, "value": {kinds[type(value)]: str(value) if type(value) is int else value}}
        for key, value in values.items()
    ]
