"""The gateway as its users see it: real nginx, real TLS, a real Triton behind it."""

import base64
import json
import ssl
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from aurum_client import AccessDeniedError, FaceClient, InvalidImageError
from gateway_world import INFER, RAW, World, failure, gateway_for, load, wait_for_more
from waiting import eventually

from aurum.gateway import keys, run
from aurum.paths import PHOTO
from aurum.server.ephemeral import Service, on_free_ports
from aurum.server.server import Server
from benchmarks.common.gateways import certificate

SERVICE = "/inference.GRPCInferenceService/"


@pytest.fixture(scope="module")
def world(best: Service) -> Iterator[World]:
    with gateway_for(best, rate=10_000, burst=10_000, connections=1000) as world:
        yield world


@pytest.fixture(scope="module")
def strict(best: Service) -> Iterator[World]:
    """A gateway with low limits."""
    with gateway_for(best, rate=1, burst=4, connections=2, client_timeout=1) as world:
        yield world


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_our_client_gets_tritons_answers(world, best, astronaut, protocol):
    with world.client(protocol) as through, FaceClient(best.urls[protocol == "grpc"]) as direct:
        answer, expected = through.analyze(astronaut), direct.analyze(astronaut)
        np.testing.assert_array_equal(answer.boxes, expected.boxes)
        np.testing.assert_array_equal(answer.embeddings, expected.embeddings)
        assert through.health().ok


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_http_1_and_2_are_served(world, version):
    lines = [item for name, value in RAW.items() for item in ("-H", f"{name}: {value}")]
    status, body, spoken = world.curl(
        INFER, f"--http{version}", *lines, "--data-binary", f"@{PHOTO}"
    )
    assert (status, spoken) == (200, version)
    assert "landmarks" in body


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_old_tls_is_refused(world):
    context = ssl.create_default_context(cafile=world.ca)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError), world.socket(context=context):
        pass


# --- keys ---

WRONG = {
    "none": "",
    "empty": "Authorization: \r\n",
    "unknown": f"Authorization: Bearer {'x' * 49}\r\n",
    "one character more": "Authorization: Bearer {key}x\r\n",
    "one character less": "Authorization: Bearer {short}\r\n",
    "another scheme": "Authorization: Basic {key}\r\n",
    "its digest": "Authorization: Bearer {digest}\r\n",
    "in another header": "X-API-Key: {key}\r\n",
    "an underscore in the name": "Author_ization: Bearer {key}\r\n",
    "very long": "Authorization: Bearer " + "x" * 5000 + "\r\n",
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_key_is_refused_before_the_body_is_sent(world, case):
    """A body is announced but never sent."""
    line = WRONG[case].format(key=world.key, short=world.key[:-1], digest=keys.digest(world.key))
    [answer] = world.raw(
        f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\n{line}Content-Length: 1000000\r\n"
        "Connection: close\r\n\r\n".encode(),
        enough=1,
    )
    assert answer.status == 401
    assert answer.error.startswith("[unauthenticated] ")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("key", [None, "x" * 49])
def test_a_wrong_key_over_grpc_is_unauthenticated(world, astronaut, key):
    headers = {"authorization": f"Bearer {key}"} if key else {}
    with world.client("grpc", headers=headers) as client:
        with pytest.raises(AccessDeniedError) as caught:
            client.detect(astronaut)
        assert caught.value.status == "StatusCode.UNAUTHENTICATED"
        assert caught.value.code == "unauthenticated"


def test_keys_are_rotated_under_load_without_a_failed_request(world, astronaut):
    file = world.gateway.settings.gateway_keys
    current = [keys.add(file, "rotating")]
    with load(world, astronaut, lambda: {"Authorization": f"Bearer {current[0]}"}) as statuses:
        for _ in range(4):
            old, current[0] = current[0], keys.add(file, "rotating")
            wait_for_more(statuses, 4)  # nobody uses the old one any more
            assert keys.remove(file, "rotating", keys.digest(old)) == 1
            wait_for_more(statuses, 4)
    assert set(statuses) == {200}
    with world.http(Authorization=f"Bearer {old}") as http:
        assert http.post(INFER, content=astronaut, headers=RAW).status_code == 401
    assert "rotating" in {line["key"] for line in world.log()}


def test_a_certificate_is_replaced_under_load_without_a_failed_request(world, astronaut):
    with load(world, astronaut, dict) as statuses:
        before = world.serial()
        certificate(world.gateway.settings.gateway_certificate.parent)
        run.reload(world.gateway.settings)
        eventually(lambda: world.serial() != before)
        wait_for_more(statuses, 4)
    assert set(statuses) == {200}


def test_an_unreadable_key_file_lets_nobody_in(best, astronaut):
    with gateway_for(best) as world:
        world.gateway.settings.gateway_keys.unlink()
        with world.http(**RAW) as http:
            answer = http.post(INFER, content=astronaut)
        assert answer.status_code == 503
        assert answer.json()["error"].startswith("[unavailable] ")


# --- limits ---


def test_a_body_that_is_too_large_is_refused(world):
    """Known from Content-Length over HTTP, from the data over chunked HTTP and gRPC."""
    large = b"x" * 26_000_000
    with world.http(**RAW) as http:
        for body in (large, iter([large])):
            answer = http.post(INFER, content=body)
            assert answer.status_code == 413
            assert answer.json()["error"].startswith(
                "[too_large] the body must not exceed 25065536 "
            )
    with world.client("grpc") as client, pytest.raises(Exception, match="must not exceed") as got:
        client.detect(large)
    assert got.value.status == "StatusCode.RESOURCE_EXHAUSTED"


def in_json(photo: bytes) -> dict[str, object]:
    data = [photo.decode()]
    return {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": data}]}


def padded(photo: bytes, size: int) -> bytes:
    """Pad a JPEG to this size; bytes after its end are ignored."""
    return photo + bytes(size - len(photo))


@pytest.mark.parametrize("encode", [base64.b64encode, base64.encodebytes])
def test_the_largest_photo_fits_as_base64(world, astronaut, encode):
    """10 MB, also in lines of 76 characters, as encoders write them."""
    with world.http() as http:
        answer = http.post(INFER, json=in_json(encode(padded(astronaut, 10_000_000))))
        assert answer.status_code == 200, answer.text
        answer = http.post(INFER, json=in_json(encode(padded(astronaut, 10_000_001))))
    assert answer.status_code == 400
    assert "at most 10000000 are allowed as base64 (AURUM_MAX_BASE64_BYTES): send larger ones in " \
        "binary, with at most 25000000" in answer.json()["error"]  # fmt: skip
    assert not list((world.gateway.settings.gateway_folder / "body").rglob("*")), (
        "bodies stay in memory"
    )


def test_a_larger_photo_can_be_sent_in_binary(world, astronaut):
    for protocol in ("http", "grpc"):
        with world.client(protocol) as client:
            assert len(client.detect(padded(astronaut, 25_000_000))) == 1
            with pytest.raises(InvalidImageError, match="at most 25000000 are allowed"):
                client.detect(padded(astronaut, 25_000_001))


def test_the_error_for_large_json_suggests_binary(world):
    body = json.dumps(in_json(b"x" * 15_000_000)).encode()
    with world.http() as http:
        for content in (body, iter([body])):
            answer = http.post(INFER, content=content)
            assert answer.status_code == 413
            assert answer.json()["error"].startswith(
                "[too_large] a body of JSON alone must not exceed 14232205 bytes: send larger "
                "photos in binary"
            )


def test_a_flood_is_answered_with_429(strict, astronaut):
    with strict.http(**RAW) as http:
        answers = [http.post(INFER, content=b"x") for _ in range(12)]
    counts = Counter(answer.status_code for answer in answers)
    assert counts[429] > 0
    assert set(counts) == {400, 429}  # 400: answered by Triton, to which they were let through
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"].startswith("[rate_limited] ")
    assert refused.headers["Retry-After"] == "1"
    with strict.client("grpc") as client:
        errors = [error for error in (failure(client, astronaut) for _ in range(12)) if error]
    assert errors
    assert {error.code for error in errors} == {"rate_limited"}
    assert all(error.retryable for error in errors)


def test_a_key_has_a_limited_number_of_requests_in_flight(best, astronaut):
    with gateway_for(best, rate=10_000, burst=10_000, connections=2) as world:
        with ThreadPoolExecutor(12) as pool, world.http(**RAW) as http:
            codes = list(pool.map(lambda _: http.post(INFER, content=astronaut), range(24)))
        counts = Counter(answer.status_code for answer in codes)
        assert set(counts) == {200, 429}
        with world.http(**RAW) as http:
            assert http.post(INFER, content=astronaut).status_code == 200, (
                "all places are free again"
            )


@pytest.mark.parametrize("sent", ["", "POST /v2/mod", "a header", "a body"])
def test_slow_clients_are_disconnected(strict, sent):
    """nginx closes without an answer, which so slow a client would not read. The log says 408."""
    head = f"POST {INFER} HTTP/1.1\r\n{strict.head}Content-Length: 1000\r\n"
    text = {"a header": head + "X-More: a", "a body": head + "\r\nxx"}.get(sent, sent)
    with strict.socket() as connection:
        connection.sendall(text.encode())
        connection.settimeout(30)
        with suppress(ConnectionResetError, ssl.SSLEOFError):
            assert connection.recv(1000) == b""
    if text:
        eventually(lambda: strict.log()[-1]["status"] == 408)


def test_many_slow_clients_block_nobody(world, astronaut):
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(world.socket()).sendall(b"POST /v2/models/detect_faces/inf")
        with world.client("http") as client:
            client.detect(astronaut)


# --- open and closed paths ---

OPEN = ["/v2/health/live", "/v2/health/ready"]
KEYED = [f"/v2/models/{name}/ready" for name in ("detect_faces", "embed_face", "analyze_faces")]
CLOSED = [
    "/", "/v2", "/v2/models/stats", "/v2/models/detect_faces", "/v2/models/detect_faces/config",
    "/v2/models/detect_faces/stats", "/v2/models/detect_faces/versions/1/infer",
    "/v2/models/detect_faces/trace/setting", "/v2/models/detect_faces/generate",
    "/v2/models/face_detection/infer", "/v2/models/face_embedding/infer",
    "/v2/models/face_embedding/ready", "/v2/models/each_face/infer", "/v2/repository/index",
    "/v2/repository/models/face_detection/load", "/v2/repository/models/face_detection/unload",
    "/v2/systemsharedmemory/status", "/v2/systemsharedmemory/region/x/register",
    "/v2/cudasharedmemory/status", "/v2/trace/setting", "/v2/logging", "/metrics",
    "/v2/models/detect_faces/infer/", "/v2/models/DETECT_FACES/infer", "/v2/health/live/x",
    "/v2/models/detect_faces/infer/../../../repository/index",
    "/v2/models/detect_faces/infer/%2e%2e/%2e%2e/face_detection/infer",
    "/v2/models/detect_faces%2f..%2fface_detection/infer", "/v2/models/detect_faces/infer;x",
    "/v2/models/detect_faces/infer%0d%0aX:y", "/v2/models/detect_faces/infer%3fx",
    "/.git/config", "/_gateway/http/400", "/_gateway/grpc/400", "/gateway.js", "/nginx.conf",
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_everything_else_is_closed(world, method):
    with world.http() as http, world.http(Authorization="") as stranger:
        for path in CLOSED:
            # Raw, since clients normalize paths.
            [answer] = world.raw(
                f"{method} {path} HTTP/1.1\r\n{world.head}Content-Length: 2\r\n"
                "Connection: close\r\n\r\n{}".encode()
            )
            assert (path, answer.status) == (path, 404)
            assert answer.error.startswith("[not_found] ")
        assert stranger.request(method, "/v2/repository/index").status_code == 401
        for path in OPEN + KEYED:
            expected = 200 if method == "GET" else 405
            assert (path, http.request(method, path).status_code) == (path, expected)
        for path in OPEN:
            assert stranger.get(path).status_code == 200
        for path in KEYED:
            assert stranger.get(path).status_code == 401
        if method != "POST":
            assert http.request(method, INFER).status_code == 405
        assert http.request("TRACE", "/v2").status_code == 405


def test_other_grpc_methods_and_models_are_closed(world, astronaut):
    metadata = [("authorization", f"Bearer {world.key}")]
    pb = triton.service_pb2
    with grpc.secure_channel(
        world.gateway.url.removeprefix("https://"),
        grpc.ssl_channel_credentials(world.ca.read_bytes()),
    ) as channel:

        def call(method: str, request: bytes) -> grpc.StatusCode:
            ask = channel.unary_unary(method, lambda x: x, lambda x: x)
            try:
                ask(request, metadata=metadata, timeout=60)
            except grpc.RpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        methods = [name for service in pb.DESCRIPTOR.services_by_name.values()
                   for name in service.methods_by_name]  # fmt: skip
        assert len(methods) == 20
        public = {"ServerLive", "ServerReady", "ModelReady", "ModelInfer"}
        for name in set(methods) - public:
            assert (name, call(SERVICE + name, b"")) == (name, grpc.StatusCode.UNIMPLEMENTED)
        assert call("/grpc.health.v1.Health/Check", b"") == grpc.StatusCode.UNIMPLEMENTED
        for name in ("ServerLive", "ServerReady"):
            assert call(SERVICE + name, b"") == grpc.StatusCode.OK

        infer, ready = SERVICE + "ModelInfer", SERVICE + "ModelReady"
        for model in ("face_detection", "each_face", "", "detect_faces\0", "x" * 100_000):
            request = pb.ModelInferRequest(model_name=model).SerializeToString()
            assert call(infer, request) == grpc.StatusCode.NOT_FOUND
            request = pb.ModelReadyRequest(name=model).SerializeToString()
            assert call(ready, request) == grpc.StatusCode.NOT_FOUND
        good = pb.ModelInferRequest(model_name="detect_faces")
        good.inputs.add(name="image", datatype="BYTES", shape=[1])
        good.raw_input_contents.append(len(astronaut).to_bytes(4, "little") + astronaut)
        request = good.SerializeToString()
        assert call(infer, request) == grpc.StatusCode.OK
        # The last name counts, for Triton as for the gateway.
        other = pb.ModelInferRequest(model_name="face_detection").SerializeToString()
        assert call(infer, other + request) == grpc.StatusCode.OK
        assert call(infer, request + other) == grpc.StatusCode.NOT_FOUND
        # The tag of field 1 in two bytes instead of one.
        longer = b"\x8a\x00" + other[1:]
        assert call(infer, request + longer) == grpc.StatusCode.NOT_FOUND
        for broken in (b"\x0a\xff", b"\x0b" + request, request + b"\x00", b"\xff" * 20):
            assert call(infer, broken) == grpc.StatusCode.INVALID_ARGUMENT
        many = request + b"\x18\x01" * 1000
        assert call(infer, many) == grpc.StatusCode.INVALID_ARGUMENT


# --- errors and logs ---


def test_an_unreachable_server_is_reported_as_unavailable(best, astronaut):
    nobody = replace(best, server=Server(on_free_ports(best.settings)))
    with gateway_for(nobody) as world:
        with world.http(**RAW) as http:
            answer = http.post(INFER, content=astronaut)
            assert answer.status_code == 503
            assert answer.json()["error"] == "[unavailable] no server can answer now"
            assert answer.headers["Retry-After"] == "1"
        with world.client("grpc") as client, pytest.raises(Exception, match="no server") as caught:
            client.detect(astronaut)
        assert caught.value.status == "StatusCode.UNAVAILABLE"
        assert caught.value.retryable


def test_a_valid_request_id_is_kept_and_any_other_replaced(world, astronaut):
    with world.http(**RAW) as http:
        for given, kept in (("Order-17.b:x_9", True), ("x" * 65, False), ("a b", False)):
            for path in (INFER, "/nothing"):
                answer = http.post(path, content=astronaut, headers={"X-Request-Id": given})
                assert (answer.headers["X-Request-Id"] == given) is kept
                eventually(lambda a=answer: world.ids()[-1] == a.headers["X-Request-Id"])


def test_logs_have_what_operators_need_and_no_secrets(world, astronaut):
    with world.client("http") as http, world.client("grpc") as over_grpc:
        answer = http.analyze(astronaut)
        over_grpc.embed(astronaut)
    with world.http() as http:
        http.get("/v2/models/x?secret=query")
        http.post(INFER, content=astronaut)
    eventually(lambda: world.log()[-1]["bytes_in"] > len(astronaut))
    lines = world.log()
    models = {(line["route"], line["model"], line["key"], line["status"]) for line in lines}
    assert ("infer", "analyze_faces", "test", 200) in models
    assert ("grpc", "embed_face", "test", 200) in models
    assert all(line["seconds"] >= 0 and line["time"] for line in lines)
    text = "\n".join(world.gateway.access()) + world.gateway.log.read_text()
    assert world.key not in text
    assert keys.digest(world.key) not in text
    assert "secret=query" not in "\n".join(world.gateway.access())
    embedding = answer.embeddings[0]
    for needle in (json.dumps(float(embedding[0]))[:9], "JFIF", "/9j/", "Exif"):
        assert needle not in text
