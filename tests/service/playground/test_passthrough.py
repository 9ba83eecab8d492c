"""What the playground's server forwards to a real Triton, and what it refuses."""

import base64
import gzip
import json
import re
import socket
import threading
from dataclasses import replace

import httpx
import pytest
from aurum_client import FaceClient, InvalidImageError
from waiting import eventually

from aurum.playground import app
from aurum.playground.serve import Playground
from aurum.server.ephemeral import free_ports

RAW = {"content-type": "application/octet-stream", "inference-header-content-length": "0"}
INFER = "/v2/models/analyze_faces/infer"
LIMIT = 400_000  # bytes of a photo: small, so that tests can exceed it


@pytest.fixture(scope="module")
def page(best):
    with Playground(replace(best.settings, playground_port=free_ports(1)[0])) as playground:
        yield playground


@pytest.fixture(scope="module")
def narrow(best):
    """A playground with a small limit."""
    (port,) = free_ports(1)
    with Playground(
        replace(best.settings, playground_port=port, max_image_bytes=LIMIT)
    ) as playground:
        yield playground


@pytest.fixture
def ask(page):
    with httpx.Client(base_url=page.url, timeout=60, trust_env=False) as client:
        yield client


def request(port, text, patience=30):
    """Send exactly these bytes, and read until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        connection.sendall(text)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_photo_gets_tritons_answer(ask, best, astronaut):
    through = ask.post(INFER, content=astronaut, headers=RAW)
    direct = httpx.post(best.urls[0] + INFER, content=astronaut, headers=RAW, trust_env=False)
    assert through.status_code == direct.status_code == 200
    for name in ("content-type", "inference-header-content-length"):
        assert through.headers[name] == direct.headers[name]
    length = int(through.headers["inference-header-content-length"])
    assert json.loads(through.content[:length]) == json.loads(direct.content[:length])
    assert len(through.content) == len(direct.content)


def test_our_client_works_through_it(page, best, astronaut):
    with FaceClient(page.url) as through, FaceClient(best.urls[0]) as direct:
        assert through.health().ok
        assert through.analyze(astronaut).boxes.tolist() == direct.analyze(astronaut).boxes.tolist()
        assert through.compare(astronaut, astronaut).similarity == pytest.approx(1, abs=1e-5)
        with pytest.raises(InvalidImageError, match="not an image"):
            through.detect(b"not a photo")


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/models/embed_face/ready"])
def test_health_is_forwarded(ask, path):
    assert ask.get(f"/v2{path}").status_code == 200
    assert ask.post(f"/v2{path}").status_code == 405


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", INFER, 405),
        ("PUT", INFER, 405),
        ("DELETE", INFER, 405),
        ("OPTIONS", INFER, 405),
        ("POST", "/", 405),
        ("POST", "/v2/models/face_detection/infer", 404),
        ("POST", "/v2/models/face_embedding/infer", 404),
        ("POST", "/v2/models/each_face/infer", 404),
        ("POST", "/v2/models/analyze_faces/versions/1/infer", 404),
        ("POST", "/v2/models/analyze_faces/generate", 404),
        ("POST", "/v2/models/analyze_faces%2finfer/../infer", 404),
        ("POST", "/v2/models//infer", 404),
        ("POST", "/v2/models/analyze_faces/../face_detection/infer", 404),
        ("POST", "/v2/models/%2e%2e/repository/index", 404),
        ("GET", "/v2", 404),
        ("GET", "/v2/models/stats", 404),
        ("GET", "/v2/models/analyze_faces", 404),
        ("GET", "/v2/models/analyze_faces/config", 404),
        ("GET", "/v2/models/analyze_faces/stats", 404),
        ("GET", "/v2/models/face_detection/ready", 404),
        ("POST", "/v2/repository/index", 404),
        ("POST", "/v2/repository/models/analyze_faces/unload", 404),
        ("GET", "/v2/systemsharedmemory/status", 404),
        ("POST", "/v2/systemsharedmemory/region/x/register", 404),
        ("GET", "/v2/cudasharedmemory/status", 404),
        ("GET", "/v2/trace/setting", 404),
        ("GET", "/v2/logging", 404),
        ("GET", "/metrics", 404),
        ("GET", "/../app.py", 404),
        ("GET", "/..%2fapp.py", 404),
        ("GET", "/%2e%2e/app.py", 404),
    ],
)
def test_every_other_route_is_refused(page, method, path, status):
    # Raw, as clients normalize such paths before they send them.
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    answer = request(page.port, f"{head}Content-Length: 0\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    error = json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]
    assert path.split("%")[0].split("/..")[0] in error
    assert "analyze_faces" in error


def test_80_characters_of_a_wrong_path_host_or_origin_are_repeated(page):
    """Not a photo that was sent in the wrong place: messages are logged."""
    photo = "A" * 5000
    for path, headers in (
        (f"/{photo}", "Host: localhost\r\n"),
        ("/", f"Host: {photo}\r\n"),
        ("/", f"Host: localhost\r\nOrigin: {photo}\r\n"),
    ):
        head = f"GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"
        error = json.loads(request(page.port, head.encode()).split(b"\r\n\r\n", 1)[1])["error"]
        assert 70 < max(map(len, re.findall("A+", error))) < 80


def test_a_declared_size_over_the_limit_is_refused_before_the_body_is_sent(narrow):
    head = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
    with socket.create_connection(("127.0.0.1", narrow.port), timeout=30) as connection:
        connection.sendall(head.encode())
        answer = b""
        while not answer.endswith(b"}"):  # the server waits a while before it closes
            part = connection.recv(65536)
            assert part, answer
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert f"[too_large] photos may have at most {LIMIT} bytes".encode() in answer
    assert f"more than {4 * 133_334 + 65_536} bytes are not passed on".encode() in answer


def test_an_undeclared_size_is_refused_once_it_exceeds_the_limit(narrow):
    def chunks():
        for _ in range(64):
            yield b"x" * 65536

    answer = httpx.post(narrow.url + INFER, content=chunks(), timeout=60, trust_env=False)
    assert answer.status_code == 413
    assert "at most" in answer.json()["error"]


def test_a_client_that_sends_before_it_reads_gets_the_refusal_too(narrow):
    answer = httpx.post(narrow.url + INFER, content=b"x" * 20_000_000, timeout=60, trust_env=False)
    assert answer.status_code == 413


def test_photos_up_to_the_limit_pass_also_as_base64(narrow, astronaut):
    padded = astronaut + b"\0" * (LIMIT - len(astronaut))
    with FaceClient(narrow.url) as client:
        assert len(client.detect(padded).scores) == len(client.detect(astronaut).scores)
    data = [base64.b64encode(padded).decode()]
    inputs = [{"name": "image", "shape": [1], "datatype": "BYTES", "data": data}]
    answer = httpx.post(narrow.url + INFER, json={"inputs": inputs}, timeout=60, trust_env=False)
    assert answer.status_code == 200


def test_compressed_requests_are_refused_as_they_may_unpack_to_any_size(ask, astronaut):
    body = gzip.compress(astronaut)
    answer = ask.post(INFER, content=body, headers={**RAW, "content-encoding": "gzip"})
    assert answer.status_code == 415
    assert "without Content-Encoding" in answer.json()["error"]


def test_a_client_that_leaves_in_the_middle_affects_nobody(page, ask, astronaut):
    head = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nthe beginning"
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", page.port)) as connection:
            connection.sendall(head.encode())
    assert ask.post(INFER, content=astronaut, headers=RAW).status_code == 200


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "1, 2"])
def test_an_invalid_length_is_not_an_internal_error(page, length):
    head = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    assert request(page.port, head.encode()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1234", "127.0.0.1", "[::1]:80"])
def test_local_host_names_are_served(ask, host):
    assert ask.get("/", headers={"host": host}).status_code == 200
    origin = f"http://{host}"
    assert ask.get("/v2/health/live", headers={"host": host, "origin": origin}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "192.168.0.1", ""]
)
def test_other_host_names_are_refused_against_dns_rebinding(ask, host, astronaut):
    for path in ("/", "/v2/health/live"):
        assert ask.get(path, headers={"host": host}).status_code == 403
    answer = ask.post(INFER, content=astronaut, headers={**RAW, "host": host})
    assert answer.status_code == 403
    assert "only localhost" in answer.json()["error"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:1", "https://127.0.0.1", ""]
)
def test_requests_from_other_origins_are_refused(ask, origin, astronaut):
    answer = ask.post(INFER, content=astronaut, headers={**RAW, "origin": origin})
    assert answer.status_code == 403


def test_other_origins_can_read_no_answer(ask, astronaut):
    answers = [
        ask.get("/"),
        ask.get("/nothing"),
        ask.post(INFER, content=astronaut, headers={**RAW, "origin": str(ask.base_url)}),
        ask.options(INFER, headers={"access-control-request-method": "POST"}),
        ask.post(INFER, content=b"", headers={**RAW, "origin": "https://evil.example"}),
    ]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]
        for name, value in app.HEADERS.items():
            assert answer.headers[name] == value
    assert answers[2].headers["cache-control"] == "no-store"


def test_times_are_reported_on_request_and_add_up(ask, astronaut):
    assert "server-timing" not in ask.post(INFER, content=astronaut, headers=RAW).headers

    def all_told():
        """The times by step, if the models' sum does not exceed the total, as it may under load."""
        answer = ask.post(INFER, content=astronaut, headers={**RAW, "x-timings": "1"})
        told = dict(item.split(";dur=") for item in answer.headers["server-timing"].split(", "))
        return told if "step" in told else None

    told = eventually(all_told)
    models = {"face_detection", "face_landmarks", "face_embedding"}
    assert set(told) == {"receive", "triton", *models, "step"}
    inner = sum(float(told[name].split(";")[0]) for name in set(told) - {"receive", "triton"})
    assert inner <= float(told["triton"])
    for name in models:
        assert told[name].endswith('desc="1"')


def test_a_failed_request_has_times_too(ask):
    answer = ask.post(INFER, content=b"no photo", headers={**RAW, "x-timings": "1"})
    assert answer.status_code == 400
    assert "triton;dur=" in answer.headers["server-timing"]


def test_without_a_service_the_error_says_so(best):
    nobody, port = free_ports(2)
    settings = replace(best.settings, http_port=nobody, playground_port=port)
    with Playground(settings) as page:
        assert httpx.get(page.url, trust_env=False).status_code == 200
        for answer in (
            httpx.get(f"{page.url}/v2/health/ready", trust_env=False),
            httpx.post(page.url + INFER, content=b"x", headers=RAW, trust_env=False),
        ):
            assert answer.status_code == 503
            assert answer.json()["error"].startswith("[unavailable] the face service")


def test_a_taken_port_is_reported(best):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with Playground(replace(best.settings, playground_port=taken)) as page:
            assert page.port != taken
            assert httpx.get(page.url, trust_env=False).status_code == 200


def test_closing_lets_requests_finish(best, astronaut):
    (port,) = free_ports(1)
    answers = []
    with Playground(replace(best.settings, playground_port=port)) as page:

        def ask():
            with FaceClient(page.url, timeout=60, retries=0) as client:
                answers.append(client.analyze(astronaut, detection_size=1280, min_confidence=0))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        with FaceClient(page.url) as client:
            client.detect(astronaut)  # by now the others have arrived
    for thread in threads:
        thread.join()
    assert len(answers) == 8


def test_requests_that_a_stop_cannot_wait_for_get_an_answer_too(best):
    (port,) = free_ports(1)
    head = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
    with socket.socket() as slow:
        with Playground(replace(best.settings, playground_port=port, drain_timeout=1)):
            slow.connect(("127.0.0.1", port))
            slow.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
            assert slow.recv(1024).startswith(b"HTTP/1.1 100 ")  # now it is in flight
        answer = slow.recv(65536)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"[unavailable] the face service is stopping" in answer
