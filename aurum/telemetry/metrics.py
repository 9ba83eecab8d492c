"""The service's own metrics, counted in memory and passed to Triton once a second.

Each change of a metric in Triton is a call to another process. Requests therefore only change
numbers in this process, and a thread passes on those that have changed. Triton publishes them
beside its own metrics, on its metrics port. When a process is killed, up to one second of counts is
lost.

Histograms are sets of counters with Prometheus's names (``_bucket`` with ``le``, ``_sum``,
``_count``), because Triton's own histograms need one call per observation. For the meaning of each
metric see docs/guides/monitoring.md.
"""

from __future__ import annotations

import threading
import traceback
from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any

from aurum.contract import ANALYZE_FACES, CLIENT_FAULTS, INVALID_IMAGE_REASONS, SERVER_FAULTS
from aurum.telemetry.record import Record

INTERVAL = 1.0  # seconds between two updates of Triton's metrics

COUNTERS = {
    "aurum_requests_total": "Requests by how they ended",
    "aurum_invalid_images_total": "Photos refused, by reason",
    "aurum_faces_total": "Faces found",
    "aurum_photos_without_face_total": "Photos in which no face was found",
}
HISTOGRAMS: dict[str, tuple[str, tuple[float, ...]]] = {
    "aurum_request_duration_seconds": (
        "Time from a pipeline's start on a request to its answer",
        (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 10),
    ),
    "aurum_detection_size_pixels": (
        "Long sides of the detector's inputs",
        (160, 320, 480, 640, 800, 960, 1280),
    ),
    "aurum_face_quality": (
        "Quality of faces",
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1),
    ),
}

Labels = tuple[tuple[str, str], ...]
# (name, help) -> a family, whose Metric(labels=...) can be incremented: pb_utils.MetricFamily
MakeFamily = Callable[[str, str], Any]


class _Histogram:
    """Numbers of observations between the bounds, and the sum of all observations."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Counts:
    """The current values of all metrics of `pipelines`. Thread-safe.

    Every series exists from the start, at 0, because Prometheus sees no increase in a series that
    begins at 1.
    """

    def __init__(self, pipelines: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, Labels], float] = {}
        self._histograms: dict[tuple[str, str], _Histogram] = {}
        for pipeline in pipelines:
            for code in ("ok", *CLIENT_FAULTS, *SERVER_FAULTS):
                self._add("aurum_requests_total", pipeline, 0, code=code)
            for reason in INVALID_IMAGE_REASONS:
                self._add("aurum_invalid_images_total", pipeline, 0, reason=reason)
            self._add("aurum_faces_total", pipeline, 0)
            self._add("aurum_photos_without_face_total", pipeline, 0)
            for name, (_, bounds) in HISTOGRAMS.items():
                if name != "aurum_face_quality" or pipeline == ANALYZE_FACES:
                    self._histograms[name, pipeline] = _Histogram(bounds)

    def add(self, record: Record) -> None:
        """Count one finished request."""
        pipeline = record.pipeline
        with self._lock:
            self._add("aurum_requests_total", pipeline, 1, code=record.code)
            if record.reason:
                self._add("aurum_invalid_images_total", pipeline, 1, reason=record.reason)
            if record.faces is not None:
                self._add("aurum_faces_total", pipeline, record.faces)
                self._add("aurum_photos_without_face_total", pipeline, record.faces == 0)
            self._histograms["aurum_request_duration_seconds", pipeline].observe(record.seconds)
            for side in record.sides:
                self._histograms["aurum_detection_size_pixels", pipeline].observe(side)
            if quality := self._histograms.get(("aurum_face_quality", pipeline)):
                for value in record.quality:
                    quality.observe(value)

    def _add(self, name: str, pipeline: str, value: float, **labels: str) -> None:
        key = (name, (("pipeline", pipeline), *labels.items()))
        self._counters[key] = self._counters.get(key, 0) + value

    def series(self) -> dict[tuple[str, Labels], float]:
        """Return the current value of every series, by metric name and labels."""
        with self._lock:
            series = dict(self._counters)
            for (name, pipeline), histogram in self._histograms.items():
                labels = ("pipeline", pipeline)
                totals = list(accumulate(histogram.counts))
                for bound, total in zip((*histogram.bounds, "+Inf"), totals, strict=True):
                    series[f"{name}_bucket", (labels, ("le", str(bound)))] = total
                series[f"{name}_count", (labels,)] = totals[-1]
                series[f"{name}_sum", (labels,)] = histogram.sum
        return series


class Publisher:
    """Passes changes in `counts` to Triton, from a thread of its own."""

    def __init__(self, counts: Counts, make_family: MakeFamily) -> None:
        self._counts = counts
        families = {name: make_family(name, text) for name, text in COUNTERS.items()}
        for name, (text, _) in HISTOGRAMS.items():
            for part in ("_bucket", "_count", "_sum"):
                families[name + part] = make_family(name + part, text)
        # Keep a reference: Triton removes the metrics of a family that is freed.
        self._families = families
        self._metrics: dict[tuple[str, Labels], Any] = {}
        self._sent: dict[tuple[str, Labels], float] = {}
        self._publish()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Pass on the last changes and end the thread."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        closing = False
        while not closing:
            closing = self._closing.wait(INTERVAL)
            try:
                self._publish()
            except Exception:  # from Triton; the next round sends what is missing
                traceback.print_exc()

    def _publish(self) -> None:
        for key, value in self._counts.series().items():
            if key not in self._metrics:
                name, labels = key
                self._metrics[key] = self._families[name].Metric(labels=dict(labels))
                self._sent[key] = 0
            if change := value - self._sent[key]:
                self._metrics[key].increment(change)
                self._sent[key] = value
