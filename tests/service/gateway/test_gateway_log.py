"""No client can break a line of the gateway's logs or forge one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from gateway_world import RAW, World, gateway_for, not_running
from waiting import eventually

FORGED = '"}%0a{"time":"forged"}'
TIME = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[[a-z]+\] ")


@pytest.fixture
def nobody() -> Iterator[World]:
    """A gateway without servers, so that errors are logged."""
    with gateway_for(not_running(), rate=10_000, burst=10_000) as world:
        yield world


def requests(key: str) -> Iterator[bytes]:
    head = f"Host: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 0\r\n"
    rest = f"{head}Connection: close\r\n\r\n"
    for line in (
        "GET /v2/health/ready%0aforged HTTP/1.1",
        "GET /v2/health/ready%0a2026/01/01%2000:00:00%20[emerg]%20forged HTTP/1.1",
        f"GET /v2/health/ready{FORGED.replace(' ', '%20')} HTTP/1.1",
        "GET /v2/health/ready HTTP/1.1",
        "GET /v2/health/ready?a\rforged HTTP/1.1",
        "GET /v2/health/ready HTTP/1.00001",
        "GET /v2/health/ready HTTP/9.1",
        "GET /v2/models/detect_faces/ready%0aforged HTTP/1.1",
        "POST /v2/models/detect_faces/infer%0aforged HTTP/1.1",
        'GET "forged" HTTP/1.1',
        "\x1b[2Jforged / HTTP/1.1",
        "GET /v2/health/ready/\xff\xfe\x85 HTTP/1.1",
        "GET /v2/models/detect_faces/ready/\xe2\x80\xa8forged HTTP/1.1",
    ):
        yield f"{line}\r\n{rest}".encode("latin-1")
    for name in ("Host", "Referer", "User-Agent", "X-Request-Id", "X-Forwarded-For"):
        for value in ('a"}\t{"forged":1', "a\x1b[2Jb\xff", "a\rforged", 'a", upstream: "forged'):
            lines = head if name != "Host" else head.replace("Host: x\r\n", "")
            yield (
                f"GET /v2/health/ready HTTP/1.1\r\n{lines}{name}: {value}\r\n"
                "Connection: close\r\n\r\n"
            ).encode("latin-1")
    yield b"GET /v2/health/ready\r\n"  # HTTP/0.9
    yield b"\r\n\r\nGET\r\n\r\n"
    yield b"x" * 40_000


def test_each_line_is_complete_and_written_by_the_gateway(nobody):
    sent = list(requests(nobody.key))
    for request in sent:
        nobody.raw(request)
    with nobody.http(**RAW) as http:
        http.post("/v2/models/detect_faces/infer", content=b"x")
    # Over HTTP/2, where a path may hold any byte.
    for path in ("/v2/health/ready%0aforged", "/forged%0a%1b%85"):
        nobody.curl(path, "--http2", "-H", "Referer: a\x1b[2Jforged")
    eventually(lambda: any(line["route"] == "infer" for line in nobody.log()))
    for line in nobody.log():  # all lines are JSON
        assert {"time", "status", "request_id", "seconds"} <= set(line)
        assert isinstance(line["status"], int)
    assert "forged" not in "\n".join(nobody.gateway.access())
    errors = nobody.gateway.log.read_bytes().decode("ascii").splitlines()
    assert errors
    for line in errors:
        assert TIME.match(line), line
        assert line.isprintable(), line


def test_a_caller_who_disconnects_at_once_leaves_a_complete_line(nobody):
    for _ in range(3):
        with nobody.socket() as connection:
            connection.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
    eventually(lambda: len(nobody.gateway.access()) >= 3)
    assert all(isinstance(line["status"], int) for line in nobody.log())
