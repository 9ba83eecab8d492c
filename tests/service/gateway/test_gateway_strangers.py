"""Requests with or without a key can neither get servers left out nor exhaust memory.

The gateway has two servers, as a single one is never left out.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import grpc
import pytest
from gateway_world import SERVICE, World, failure, gateway_for
from tritonclient.grpc import service_pb2 as protocol
from waiting import eventually

from aurum.server.ephemeral import running
from aurum.settings import Settings

EMPTY = bytes(5)  # a gRPC message without fields
GRPC = ("-H", "Content-Type: application/grpc")
HEALTH = "/v2/health/ready"


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    settings = replace(Settings.from_env(), profile="simulated")
    with (
        running(settings, tmp_path_factory.mktemp("one")) as one,
        running(settings, tmp_path_factory.mktemp("two")) as two,
    ):
        yield one, two


@pytest.fixture
def world(services) -> Iterator[World]:
    """A new gateway for each test, as health checks are rate limited."""
    with gateway_for(*services, rate=10_000, burst=10_000) as world:
        yield world


def assert_no_server_is_left_out(world: World, photo: bytes) -> None:
    for kind in ("http", "grpc"):
        with world.client(kind) as client:
            assert [failure(client, photo) for _ in range(8)] == [None] * 8
    assert world.gateway.disturbed() == []


STRANGE = {
    "a line break": "GET /v2/health/ready%0a",
    "a line break and more": "GET /v2/health/ready%0d%0aX:%20y",
    "a query": "GET /v2/health/ready?a%0a=b",
    "HEAD": "HEAD /v2/health/ready",
    "HEAD of the other": "HEAD /v2/health/live",
    "POST": "POST /v2/health/ready",
    "an own method": "BREW /v2/health/ready",
    "an escaped path": "GET /v2/health/%72eady",
    "a path from a server's root": "GET http://x/v2/health/ready",
}


@pytest.mark.parametrize("case", STRANGE)
def test_forty_odd_health_requests_get_no_server_left_out(world, astronaut, case):
    request = f"{STRANGE[case]} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
    answers = world.raw(
        request * 39 + request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    )
    assert len(answers) == 40
    assert_no_server_is_left_out(world, astronaut)


CALLS = {
    "no content type": ("-H", "Content-Type: text/plain"),
    "one that only begins so": ("-H", "Content-Type: application/grpcx"),
    "no time": (*GRPC, "-H", "grpc-timeout: xx"),
    "time without a unit": (*GRPC, "-H", "grpc-timeout: 5"),
    "too much time": (*GRPC, "-H", "grpc-timeout: 123456789S"),
    "no time left": (*GRPC, "-H", "grpc-timeout: 0n"),
    "GET": (*GRPC, "-X", "GET"),
    "PUT": (*GRPC, "-X", "PUT"),
    "HTTP/1.1": (*GRPC, "--http1.1"),
    "an unknown compression": (*GRPC, "-H", "grpc-encoding: x"),
    "retries that are no number": (*GRPC, "-H", "grpc-previous-rpc-attempts: x"),
    "binary metadata that is none": (*GRPC, "-H", "x-bin: ***"),
    "a trace that is none": (*GRPC, "-H", "grpc-trace-bin: ***"),
    "a query": (*GRPC, "-G"),
}


@pytest.mark.parametrize("case", CALLS)
def test_forty_odd_health_calls_get_no_server_left_out(world, astronaut, case):
    for _ in range(40):
        world.call("ServerLive", EMPTY, *CALLS[case])
    assert_no_server_is_left_out(world, astronaut)


@pytest.mark.parametrize("body", [b"", b"\0\0\0", b"\1\0\0\0\0", EMPTY * 2, b"\0\0\0\0\2\x0a\0"])
def test_unexpected_bodies_of_health_calls_are_refused(world, astronaut, body):
    for _ in range(4):
        assert world.call("ServerReady", body, *GRPC)[0] == 3  # INVALID_ARGUMENT
    assert world.call("ServerReady", EMPTY, *GRPC) == (0, "")
    assert_no_server_is_left_out(world, astronaut)


@pytest.mark.parametrize("case", CALLS)
def test_odd_calls_with_a_key_get_no_server_left_out(world, astronaut, case):
    request = protocol.ModelReadyRequest(name="detect_faces").SerializeToString()
    key = ("-H", f"Authorization: Bearer {world.key}")
    for _ in range(6):
        world.call(
            "ModelReady", b"\0" + len(request).to_bytes(4, "big") + request, *key, *CALLS[case]
        )
    assert_no_server_is_left_out(world, astronaut)


def test_the_error_says_what_is_wrong_with_a_call(world):
    for case, words in {
        "no time": "grpc-timeout must be 1 to 8 digits",
        "PUT": "POST over HTTP/2 with the Content-Type application/grpc",
        "binary metadata that is none": "metadata whose name begins with grpc- or ends in -bin",
    }.items():
        status, message = world.call("ServerLive", EMPTY, *CALLS[case])
        assert status == 3
        assert words in message


def test_head_is_answered_like_get_without_the_body(world):
    with world.http() as http, world.http(Authorization="") as stranger:
        for path in ("/v2/health/live", HEALTH):
            assert stranger.head(path).status_code == 200
        assert http.head("/v2/models/detect_faces/ready").status_code == 200


# --- request bodies, and concurrent requests ---


@pytest.mark.parametrize(
    "lines", ["Content-Length: 13000000", "Transfer-Encoding: chunked", "Content-Length: 1"]
)
def test_health_accepts_no_body_and_uses_no_memory(world, lines):
    request = f"GET {HEALTH} HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n".encode()
    with ExitStack() as stack:
        sockets = [stack.enter_context(world.socket()) for _ in range(30)]
        for item in sockets:
            item.sendall(request)
        for item in sockets:
            answer = item.recv(4000)
            assert answer.startswith(b"HTTP/1.1 413 ")
            assert b"[too_large] health and ready requests must have no body" in answer
        # A worker has some 13 MB; half of these bodies would be 195.
        assert max(worker.memory_info().rss for worker in world.workers()) < 60_000_000


def test_health_accepts_no_body_over_http2(world, tmp_path):
    """HTTP/2 needs no announcement of a body."""
    (tmp_path / "body").write_bytes(bytes(3_000_000))
    status, body, version = world.curl(
        HEALTH, "--http2", "-X", "GET", "-H", "Content-Length:", "-T", str(tmp_path / "body")
    )
    assert (status, version) == (413, "2")
    assert "[too_large] health and ready" in body


def test_one_address_has_a_limited_number_of_health_requests_at_a_time(world):
    """gRPC calls that never send their message occupy the places; HTTP counts with them."""
    credentials = grpc.ssl_channel_credentials(world.ca.read_bytes())
    address = world.gateway.grpc_url.removeprefix("grpcs://")
    over = threading.Event()

    def message() -> Iterator[bytes]:
        over.wait(60)
        yield b""

    with grpc.secure_channel(address, credentials) as channel:
        call = channel.stream_unary(SERVICE + "ServerLive")
        stalled = [call.future(message()) for _ in range(34)]
        try:
            refused = [item for item in stalled if eventually_refused(item, stalled)]
            assert len(refused) == 2
            with world.http(Authorization="") as stranger:
                assert stranger.get(HEALTH).status_code == 429
            assert world.call("ServerLive", EMPTY, *GRPC)[1].startswith("[rate_limited] ")
        finally:
            over.set()


def eventually_refused(call: grpc.Future, all_of_them: list[grpc.Future]) -> bool:
    eventually(lambda: sum(item.done() for item in all_of_them) == 2)
    return call.done() and call.code() == grpc.StatusCode.UNAVAILABLE


# --- who is limited ---


def health(world: World, key: str = "") -> set[int]:
    """The statuses of 90 requests, sent at once, however slow the machine is."""
    header = f"Authorization: Bearer {key}\r\n" if key else ""
    request = f"GET {HEALTH} HTTP/1.1\r\nHost: x\r\n{header}"
    last = f"{request}Connection: close\r\n\r\n"
    answers = world.raw((f"{request}\r\n" * 89 + last).encode())
    assert len(answers) == 90
    return {answer.status for answer in answers}


def test_only_clients_without_a_key_are_limited(world, services):
    assert health(world) == {200, 429}
    assert 429 in health(world, "x" * 49)
    assert health(world, world.key) == {200}
    for trusted, limited in (("127.0.0.0/8,::1", False), ("10.0.0.0/8", True)):
        with gateway_for(*services, trusted=trusted) as other:
            assert (429 in health(other)) is limited
