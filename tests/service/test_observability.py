"""Metrics, logs and traces of a real server."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
import waiting
from aurum_client import FaceClient, InvalidImageError, InvalidRequestError, NoFaceError
from collectors import Collector, collecting, spans
from graphs import has_liveness
from images import jpeg

from aurum.server.ephemeral import Service, running
from aurum.settings import Settings
from aurum.telemetry.metrics import INTERVAL

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as server:
        yield server


@pytest.fixture(scope="module")
def observed(collector, tmp_path_factory) -> Iterator[Service]:
    """A server that logs every request and traces it."""
    settings = replace(
        Settings.from_env(),
        profile="simulated",
        request_log="all",
        trace_url=f"http://127.0.0.1:{collector.server_port}/v1/traces",
        trace_rate=1000,
        liveness=has_liveness(),
    )
    with running(settings, tmp_path_factory.mktemp("observed")) as service:
        yield service


eventually = partial(waiting.eventually, seconds=30)


def metrics(service: Service) -> dict[str, float]:
    """All samples, by name and labels as they are written."""
    text = httpx.get(f"http://127.0.0.1:{service.settings.metrics_port}/metrics").text
    return {f"{name}{{{labels}}}": float(value) for name, labels, value in SAMPLE.findall(text)}


def logged(service: Service, request_id: str) -> list[dict[str, object]]:
    """The lines of the pipelines' log with this request id."""
    lines = service.server.log.read_text(errors="replace").splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    return [item for item in entries if item.get("request_id") == request_id]


def the_line(service: Service, request_id: str) -> dict[str, object]:
    lines = eventually(lambda: logged(service, request_id))
    assert isinstance(lines, list)
    assert len(lines) == 1
    return lines[0]


def settled(service: Service) -> dict[str, float]:
    """All samples, once all earlier requests are included."""
    time.sleep(2 * INTERVAL)

    def all_counted() -> bool:
        counted = sum(
            value
            for name, value in metrics(service).items()
            if name.startswith("aurum_requests_total{")
        )
        return counted == service.server.log.read_text(errors="replace").count('"event": "request"')

    eventually(all_counted)
    return metrics(service)


def grown(service: Service, before: dict[str, float], name: str, by: float) -> None:
    eventually(lambda: metrics(service)[name] - before[name] == pytest.approx(by))


def test_all_metrics_exist_before_the_first_request(observed):
    seen = metrics(observed)
    for pipeline in ("detect_faces", "embed_face", "analyze_faces"):
        assert f'aurum_requests_total{{code="internal",pipeline="{pipeline}"}}' in seen
        assert f'aurum_faces_total{{pipeline="{pipeline}"}}' in seen
    assert any(name.startswith("nv_inference_request_summary_us{") for name in seen)


def test_photos_and_their_faces_are_counted(observed, astronaut):
    before = settled(observed)
    with FaceClient(observed.urls[1]) as client:
        faces = list(client.analyze(astronaut))
        client.detect(astronaut, detection_size=320)
        with pytest.raises(InvalidImageError):
            client.analyze(b"GIF89a")
        with pytest.raises(NoFaceError):
            client.embed(astronaut, min_confidence=1)
        with pytest.raises(InvalidRequestError):
            client.detect(astronaut, min_confidence=0.5, max_faces=-1)

    analyze, detect, embed = (
        f'pipeline="{name}"' for name in ("analyze_faces", "detect_faces", "embed_face")
    )
    grown(observed, before, f'aurum_requests_total{{code="ok",{analyze}}}', 1)
    grown(observed, before, f'aurum_requests_total{{code="invalid_image",{analyze}}}', 1)
    grown(observed, before, f'aurum_invalid_images_total{{{analyze},reason="other_format"}}', 1)
    grown(observed, before, f"aurum_faces_total{{{analyze}}}", len(faces))
    grown(observed, before, f"aurum_face_quality_count{{{analyze}}}", len(faces))
    grown(observed, before, f"aurum_face_quality_sum{{{analyze}}}", sum(f.quality for f in faces))
    grown(observed, before, f"aurum_request_duration_seconds_count{{{analyze}}}", 2)
    grown(observed, before, f'aurum_detection_size_pixels_bucket{{le="320",{detect}}}', 1)
    grown(observed, before, f'aurum_requests_total{{code="no_face",{embed}}}', 1)
    grown(observed, before, f"aurum_photos_without_face_total{{{embed}}}", 1)


@pytest.mark.parametrize("module", [triton_http, triton_grpc])
def test_the_log_has_the_gateways_request_id_or_else_the_requests(observed, astronaut, module):
    """The gateway's is the header; any Triton client can send an id in the request."""
    name = module.__name__
    image = module.InferInput("image", [1], "BYTES")
    image.set_data_from_numpy(np.array([astronaut], np.object_))
    url = observed.urls[module is triton_grpc].partition("//")[2]
    with module.InferenceServerClient(url) as client:
        answer = client.infer("analyze_faces", [image], request_id=f"client-{name}")
        headers = {"x-request-id": f"gateway-{name}"}
        client.infer("detect_faces", [image], request_id="not this", headers=headers)

    entry = the_line(observed, f"client-{name}")
    assert entry["pipeline"] == "analyze_faces"
    assert entry["faces"] == len(answer.as_numpy("scores"))
    assert entry["code"] == "ok"
    assert entry["ms"] > 0
    assert the_line(observed, f"gateway-{name}")["pipeline"] == "detect_faces"


@pytest.mark.parametrize("call", ["detect", "embed", "analyze"])
def test_the_answers_of_each_pipeline_are_logged(observed, astronaut, call):
    with FaceClient(observed.urls[0]) as client:
        getattr(client, call)(astronaut, request_id=f"log-of-{call}")
    assert the_line(observed, f"log-of-{call}")["code"] == "ok"


def test_the_line_of_a_failure_has_its_code_and_reason(observed):
    with FaceClient(observed.urls[0]) as client, pytest.raises(InvalidImageError):
        client.analyze(b"\x89PNG\r\n\x1a\n", request_id="broken")
    entry = the_line(observed, "broken")
    assert entry["level"] == "warning"
    assert entry["code"] == "invalid_image"
    assert entry["reason"] == "damaged"
    assert str(entry["message"]).startswith("[invalid_image] the PNG image is corrupt")


def test_the_log_contains_neither_photos_nor_embeddings(observed, astronaut):
    with FaceClient(observed.urls[0]) as client:
        embedding = client.analyze(astronaut, request_id="private")[0].embedding
    the_line(observed, "private")
    text = observed.server.log.read_text(errors="replace")
    assert "/9j/" not in text
    assert f"{embedding[0]:.4f}" not in text
    assert "embedding" not in json.dumps(logged(observed, "private"))


@pytest.mark.parametrize("headers", [{"X-Request-Id": b"\xff\xfe"}, {}])
def test_a_request_id_that_is_not_text_gets_an_answer(observed, headers):
    port = observed.settings.http_port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = b'{"id":"%s","inputs":[{"name":"image","shape":[1],"datatype":"BYTES","data":["x"]}]}'
    connection.request("POST", "/v2/models/detect_faces/infer", body % b"\xff\xfe", headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.status == 400, text


# The parent of each span of a photo of one face, by their names.
PARENTS = {
    "photo": "each_face",
    "decode": "photo",
    "look": "photo",
    "face_detection": "look",
    "face_landmarks": "look",
    "align": "photo",
    "embed": "photo",
    "face_embedding": "embed",
    "quality": "photo",
}
LIVENESS = {"liveness": "photo", "face_liveness": "liveness"}


def test_a_trace_reaches_from_the_request_to_the_models(observed, collector, astronaut):
    """With requests at the same time over both protocols, every span has the right parent."""
    ids = [f"{number:032x}" for number in range(1, 25)]
    root = "b7ad6b7169203331"

    def analyze(trace: str) -> None:
        url = observed.urls[0]
        headers = {"traceparent": f"00-{trace}-{root}-01"}
        with FaceClient(url, headers=headers, timeout=60) as client:
            client.analyze(astronaut, request_id=f"traced-{trace}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(analyze, ids))

    parents_of = PARENTS | (LIVENESS if observed.settings.liveness else {})
    wanted = {"InferRequest", "analyze_faces", *parents_of, *parents_of.values()}

    def missing() -> dict[str, set[object]]:
        found = spans(collector)
        names = {trace: {span["name"] for span in found.get(trace, [])} for trace in ids}
        return {trace: wanted - names[trace] for trace in ids if wanted - names[trace]}

    with suppress(AssertionError):  # the next line says more
        eventually(lambda: not missing())
    assert not missing()
    found = spans(collector)
    for trace in ids:
        by_id = {span["spanId"]: span for span in found[trace]}
        own = [span for span in found[trace] if span["name"] in parents_of]
        # Triton has spans of the models, too, where it traces the calls of a step.
        own = [span for span in own if span["kind"] == 1 and span.get("parentSpanId") in by_id]
        names = Counter(str(span["name"]) for span in own)
        for name, parent in parents_of.items():
            parents = {by_id[span["parentSpanId"]]["name"] for span in own if span["name"] == name}
            assert parents == {parent}, (trace, name)
        assert names["photo"] == names["embed"] == 1
        (photo,) = [span for span in own if span["name"] == "photo"]
        attributes = {item["key"]: item["value"] for item in photo["attributes"]}
        assert attributes["aurum.request_id"] == {"stringValue": f"traced-{trace}"}
        assert attributes["aurum.pipeline"] == {"stringValue": "analyze_faces"}
        assert attributes["aurum.faces"] == {"intValue": "1"}
        (request,) = [span for span in found[trace] if span["name"] == "InferRequest"]
        assert request["parentSpanId"] == root
    assert {path for path, _ in collector.received} == {"/v1/traces"}


def test_a_thousand_photos_are_counted_exactly(observed):
    photo = jpeg(64, 64)
    before = settled(observed)
    with FaceClient(observed.urls[1], timeout=120) as client:
        results = client.analyze_many([photo] * 990 + [b"x"] * 10, concurrency=16)
    assert sum(isinstance(item, Exception) for item in results) == 10
    grown(observed, before, 'aurum_requests_total{code="ok",pipeline="analyze_faces"}', 990)
    grown(
        observed, before, 'aurum_requests_total{code="invalid_image",pipeline="analyze_faces"}', 10
    )
    # Triton's own count of a step's failures includes only requests that never reached the step.
    assert (
        metrics(observed)[
            'nv_inference_request_failure{model="each_face",reason="BACKEND",version="1"}'
        ]
        == 0
    )
