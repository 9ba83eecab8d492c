"""Which metrics and log lines requests produce. With a real server: test_observability.py."""

import json

import pytest

from aurum.contract import CLIENT_FAULTS, PIPELINES, SERVER_FAULTS
from aurum.contract import INVALID_IMAGE_REASONS as REASONS
from aurum.imaging.decoding.decode import decode
from aurum.imaging.decoding.refusal import InvalidImageError
from aurum.telemetry.log import MAX_ID, MAX_MESSAGE, RequestLog, line
from aurum.telemetry.metrics import COUNTERS, HISTOGRAMS, Counts, Publisher
from aurum.telemetry.record import Record


class Triton:
    """A stand-in for Triton's metrics: families by name, metrics by their labels."""

    def __init__(self):
        self.values = {}

    def family(self, name, description):
        assert description
        return _Family(self, name)


class _Family:
    def __init__(self, triton, name):
        self.triton, self.name = triton, name

    def Metric(self, labels):
        return _Metric(self.triton, (self.name, tuple(labels.items())))


class _Metric:
    def __init__(self, triton, key):
        assert key not in triton.values
        self.triton, self.key = triton, key
        triton.values[key] = 0

    def increment(self, change):
        assert change > 0
        self.triton.values[self.key] += change


def record(**fields):
    return Record(**{"pipeline": "analyze_faces", **fields})


def value(counts, name, pipeline="analyze_faces", **labels):
    return counts.series()[name, (("pipeline", pipeline), *labels.items())]


def test_every_series_is_zero_before_the_first_request():
    series = Counts(PIPELINES).series()

    assert set(series.values()) == {0}
    names = {name for name, _ in series}
    parts = {name + part for name in HISTOGRAMS for part in ("_bucket", "_count", "_sum")}
    assert names == {*COUNTERS, *parts}
    assert len(series) < 200, "each process also has all of them in Triton"


def test_a_photos_faces_quality_time_and_detector_inputs_are_counted():
    counts = Counts(PIPELINES)
    counts.add(record(faces=2, quality=[0.25, 0.9], sides=[640, 320], seconds=0.02))

    assert value(counts, "aurum_requests_total", code="ok") == 1
    assert value(counts, "aurum_faces_total") == 2
    assert value(counts, "aurum_photos_without_face_total") == 0
    assert value(counts, "aurum_face_quality_bucket", le="0.2") == 0
    assert value(counts, "aurum_face_quality_bucket", le="0.3") == 1
    assert value(counts, "aurum_face_quality_bucket", le="0.9") == 2
    assert value(counts, "aurum_face_quality_bucket", le="+Inf") == 2
    assert value(counts, "aurum_face_quality_sum") == pytest.approx(1.15)
    assert value(counts, "aurum_detection_size_pixels_bucket", le="320") == 1
    assert value(counts, "aurum_detection_size_pixels_count") == 2
    assert value(counts, "aurum_request_duration_seconds_bucket", le="0.01") == 0
    assert value(counts, "aurum_request_duration_seconds_bucket", le="0.02") == 1
    assert value(counts, "aurum_requests_total", "detect_faces", code="ok") == 0


def test_quality_is_counted_for_analyze_faces_only():
    counts = Counts(PIPELINES)
    counts.add(record(pipeline="embed_face", faces=1, quality=[0.5]))

    assert value(counts, "aurum_requests_total", "embed_face", code="ok") == 1
    assert value(counts, "aurum_faces_total", "embed_face") == 1
    assert value(counts, "aurum_face_quality_count") == 0


def test_a_photo_without_faces_is_a_success_and_a_refused_one_counts_none():
    counts = Counts(PIPELINES)
    counts.add(record(faces=0))
    refused = record()
    refused.fail("invalid_image", "[invalid_image] no", "damaged")
    counts.add(refused)

    assert value(counts, "aurum_photos_without_face_total") == 1
    assert value(counts, "aurum_requests_total", code="ok") == 1
    assert value(counts, "aurum_requests_total", code="invalid_image") == 1
    assert value(counts, "aurum_invalid_images_total", reason="damaged") == 1


def test_a_value_beyond_all_bounds_is_in_the_last_bucket():
    counts = Counts(PIPELINES)
    counts.add(record(seconds=100, sides=[4096]))

    assert value(counts, "aurum_request_duration_seconds_bucket", le="10") == 0
    assert value(counts, "aurum_request_duration_seconds_bucket", le="+Inf") == 1
    assert value(counts, "aurum_detection_size_pixels_bucket", le="+Inf") == 1


def test_triton_gets_all_series_at_first_and_then_each_change():
    triton, counts = Triton(), Counts(PIPELINES)
    publisher = Publisher(counts, triton.family)

    assert triton.values == counts.series()
    for faces in (0, 1, 3):
        counts.add(record(faces=faces, quality=[0.5] * faces, seconds=0.3))
    publisher.close()

    assert triton.values == counts.series()
    assert triton.values["aurum_faces_total", (("pipeline", "analyze_faces"),)] == 4


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\xff\xd8\xff" + bytes(100), "too_many_bytes"),
        (b"hello", "not_an_image"),
        (b"GIF89a", "other_format"),
        (b"data:image/png,x", "bad_base64"),
        (b"/9j/!", "bad_base64"),
    ],
)
def test_a_refused_photo_has_a_known_reason(data, reason):
    with pytest.raises(InvalidImageError) as caught:
        decode(data, 50, 10)
    assert caught.value.reason == reason
    assert reason in REASONS


# --- the log ---


def written(level, *records):
    lines = []
    log = RequestLog(level, lines.append)
    for item in records:
        log.add(item)
    return lines


def failed(code="no_face", **details):
    item = record()
    item.fail(code, "a message", **details)
    return item


@pytest.mark.parametrize(("level", "lines"), [("off", 0), ("failures", 1), ("all", 2)])
def test_the_level_says_which_requests_are_logged(level, lines):
    assert len(written(level, record(faces=1), failed())) == lines


def test_a_bug_is_logged_whatever_the_level():
    (text,) = written("off", failed("internal", traceback="Traceback\n  line"))

    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert json.loads(text)["traceback"] == "Traceback\n  line"


def test_a_line_has_the_request_its_outcome_and_its_duration():
    entry = json.loads(
        line(record(request_id="r-1", faces=2, sides=[640], quality=[0.5, 0.6], seconds=0.0123))
    )

    assert entry.pop("time").endswith("+00:00")
    assert entry == {
        "level": "info",
        "event": "request",
        "request_id": "r-1",
        "pipeline": "analyze_faces",
        "code": "ok",
        "faces": 2,
        "detection_sizes": [640],
        "ms": 12.3,
    }


def test_levels_separate_client_faults_from_server_faults():
    levels = {
        code: json.loads(line(failed(code)))["level"] for code in (*CLIENT_FAULTS, *SERVER_FAULTS)
    }

    assert {levels[code] for code in CLIENT_FAULTS} == {"warning"}
    assert {levels[code] for code in SERVER_FAULTS} == {"error"}


def test_client_text_can_neither_forge_a_line_nor_fill_the_disk():
    item = record(request_id='x"}\n{"level":"info"' + "y" * 10_000)
    item.fail("invalid_parameter", "evil\r\n\x1b[31m" + "z" * 100_000)
    text = line(item)

    assert "\n" not in text
    assert "\r" not in text
    assert "\x1b" not in text
    entry = json.loads(text)
    assert len(entry["request_id"]) == MAX_ID
    assert len(entry["message"]) == MAX_MESSAGE
