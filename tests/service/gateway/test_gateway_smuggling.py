"""Request smuggling: ambiguous requests are refused, or forwarded with a single meaning.

A recorder stands in for Triton, because the tests compare every byte that arrives.
"""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Iterator

import pytest
from gateway_world import World, gateway_for, not_running

from aurum.server.ephemeral import on_free_ports
from aurum.settings import Settings

INFER = "POST /v2/models/detect_faces/infer HTTP/1.1\r\n"
ADMIN = "POST /v2/repository/index HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


class Recorder(socketserver.ThreadingTCPServer):
    """Records the head and body of each request, and answers it."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        self.requests: list[tuple[str, bytes]] = []
        super().__init__(("127.0.0.1", port), Handler)


class Handler(socketserver.StreamRequestHandler):
    server: Recorder

    def _head(self) -> str:
        """The next request's line and headers; empty at the connection's end."""
        lines = []
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            lines.append(line)
        return b"".join(lines).decode("latin-1")

    def handle(self) -> None:
        while head := self._head():
            length = re.search(r"^content-length: (\d+)\r$", head, re.I | re.M)
            body = self.rfile.read(int(length[1]) if length else 0)
            self.server.requests.append((head, body))
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


@pytest.fixture(scope="module")
def recorded() -> Iterator[tuple[World, Recorder]]:
    settings = on_free_ports(Settings())
    with Recorder(settings.http_port) as recorder:
        threading.Thread(target=recorder.serve_forever, daemon=True).start()
        with gateway_for(not_running(settings), rate=10_000, burst=10_000) as world:
            yield world, recorder
        recorder.shutdown()


RAW = "Inference-Header-Content-Length: 0\r\nContent-Length: 1\r\n"  # a body without JSON
# Nothing follows each request; statuses are those of all answers on the connection.
REFUSED = {
    "length and chunks": ("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", 400),
    "chunks and length": ("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", "0\r\n\r\n", 400),
    "two lengths": ("Content-Length: 1\r\nContent-Length: 2\r\n", "xx", 400),
    "two equal lengths": ("Content-Length: 1\r\nContent-Length: 1\r\n", "x", 400),
    "lengths in a list": ("Content-Length: 1, 2\r\n", "xx", 400),
    "a negative length": ("Content-Length: -1\r\n", "", 400),
    "a length with a sign": ("Content-Length: +1\r\n", "x", 400),
    "a length in hexadecimal": ("Content-Length: 0x1\r\n", "x", 400),
    "a length of many digits": (f"Content-Length: {'9' * 30}\r\n", "x", 400),
    "an unknown encoding": ("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n", 501),
    "identity": ("Transfer-Encoding: identity\r\n", "", 501),
    "two encodings": ("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n", 501),
    "chunked twice": (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n", 400,
    ),
    "an encoding with a tab": ("Transfer-Encoding:\tchunked\r\n", "0\r\n\r\n", 501),
    "a folded header": ("Content-Length: 1\r\nX-A: b\r\n c: d\r\n", "x", 400),
    "a folded encoding": ("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n", 400),
    "a blank before the colon": ("Content-Length : 1\r\n", "x", 400),
    "a carriage return in a name": ("Content-\rLength: 1\r\n", "x", 400),
    "a zero byte in a name": ("X\0A: b\r\nContent-Length: 1\r\n", "x", 400),
    "a zero byte in a value": ("X-A: b\0c\r\nContent-Length: 1\r\n", "x", 400),
    "a name with a parenthesis": (f"X(A): b\r\n{RAW}", "x", None),
    "a header without a colon": (f"Nothing\r\n{RAW}", "x", None),
    "a chunk of a bad size": ("Transfer-Encoding: chunked\r\n", "zz\r\nx\r\n0\r\n\r\n", 400),
    "a chunk of a huge size": ("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\nx", 400),
    "a long header": (f"X-A: {'b' * 9000}\r\nContent-Length: 0\r\n", "", 431),
    "many headers": (f"X-Abcdefgh: {'b' * 2000}\r\n" * 20 + "Content-Length: 0\r\n", "", 431),
    "compression": ("Content-Encoding: gzip\r\nContent-Length: 1\r\n", "x", 415),
    "a binary header length below zero": (
        "Inference-Header-Content-Length: -1\r\nContent-Length: 1\r\n", "x", 400,
    ),
    "one that is no number": (
        "Inference-Header-Content-Length: 1e3\r\nContent-Length: 1\r\n", "x", 400,
    ),
    "one that is too long": (
        "Inference-Header-Content-Length: 99999999999999999999\r\nContent-Length: 1\r\n", "x", 400,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_an_ambiguous_request_is_refused(recorded, case):
    world, recorder = recorded
    lines, body, status = REFUSED[case]
    recorder.requests.clear()
    head = f"{INFER}Host: x\r\n{lines}Authorization: Bearer {world.key}\r\nConnection: close\r\n"
    [answer] = world.raw(f"{head}\r\n{body}".encode("latin-1"), enough=1)
    assert answer.headers["connection"] == "close"
    if status is None:  # harmless: it has one meaning, and the header in question is not forwarded
        assert answer.status == 200
        assert len(recorder.requests) == 1
    else:
        assert answer.status == status
        assert re.match(r"\[(bad_request|unsupported)\] ", answer.error)
        assert recorder.requests == []


@pytest.mark.parametrize(
    ("first", "status"),
    [
        ("GET /v2/models/" + "x" * 9000 + " HTTP/1.1\r\n", 414),
        ("GET /v2/health/live HTTP/9.9\r\n", 505),
        ("GET /v2/health/li ve HTTP/1.1\r\n", 400),
        ("GET /v2/health/live%00 HTTP/1.1\r\n", 400),
        ("GET /%zz HTTP/1.1\r\n", 400),
        ("GET /../../etc/passwd HTTP/1.1\r\n", 400),
        ("G\x01T / HTTP/1.1\r\n", 400),
        ("CONNECT x:80 HTTP/1.1\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", 400),
    ],
)
def test_a_bad_request_line_is_answered_in_json(recorded, first, status):
    world, recorder = recorded
    recorder.requests.clear()
    [answer] = world.raw(f"{first}Host: x\r\nConnection: close\r\n\r\n".encode("latin-1"))
    assert answer.status == status
    assert answer.error.startswith("[")
    assert recorder.requests == []


@pytest.mark.parametrize("line", [INFER, INFER.replace("/v2", "http://evil.example:1/v2"),
                                  INFER.replace("/v2", "//v2"), INFER.replace("e_s", "%65_s"),
                                  INFER.replace("infer", "infer?x=1&y"),
                                  INFER.replace("/v2", "/a/../v2")])  # fmt: skip
def test_only_known_headers_and_one_path_reach_triton(recorded, line):
    world, recorder = recorded
    recorder.requests.clear()
    [answer] = world.raw(
        (
            f"{line}{world.head}Content-Length: 4\r\nConnection: close, X-Request-Id\r\n"
            "X-Forwarded-For: 1.2.3.4\r\nX-Aurum-Deadline: 9\r\nX-Aurum-Key: other\r\n"
            "aurum-key: guess\r\nCookie: a=b\r\nTE: trailers\r\n"
            "Accept-Encoding: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
            "Triton_Version: 1\r\nExpect: 100-continue\r\nX-Request-Id: r-1\r\n\r\nbody"
        ).encode()
    )[-1:]
    assert answer.status == 200
    [(head, body)] = recorder.requests
    first, *headers = head.splitlines()
    assert first == INFER.strip()
    assert body == b"body"
    [deadline] = [line for line in headers if line.startswith("X-Aurum-Deadline: ")]
    assert re.fullmatch(r"\d{10}\.\d{3}", deadline.partition(": ")[2]), "when the gateway gives up"
    headers.remove(deadline)
    assert sorted(headers) == [
        "Content-Length: 4",
        "Content-Type: application/octet-stream",
        "Host: triton",
        "Inference-Header-Content-Length: 0",
        "X-Aurum-Key: test",
        "X-Request-Id: r-1",
    ]


def test_a_second_request_in_a_body_stays_a_body(recorded):
    world, recorder = recorded
    for lines, body in (
        (f"Content-Length: {len(ADMIN)}\r\n", ADMIN),
        ("Transfer-Encoding: chunked\r\n", f"{len(ADMIN):x}\r\n{ADMIN}\r\n0\r\n\r\n"),
    ):
        recorder.requests.clear()
        answers = world.raw(f"{INFER}{world.head}{lines}Connection: close\r\n\r\n{body}".encode())
        assert [answer.status for answer in answers] == [200]
        assert [content for _, content in recorder.requests] == [ADMIN.encode()]
        assert "chunked" not in recorder.requests[0][0], "a Content-Length in both cases"


def test_pipelined_requests_are_checked_one_by_one(recorded):
    world, recorder = recorded
    recorder.requests.clear()
    good = f"{INFER}{world.head}Content-Length: 1\r\n\r\nx"
    answers = world.raw(
        (good + ADMIN + good.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).encode()
    )
    assert [answer.status for answer in answers] == [200, 401, 200]
    assert len(recorder.requests) == 2


def test_two_keys_are_refused(recorded):
    world, recorder = recorded
    recorder.requests.clear()
    for other in (world.key, "x" * 49):
        line = f"Authorization: Bearer {other}\r\nConnection: close\r\n"
        [answer] = world.raw(f"{INFER}{world.head}{line}Content-Length: 0\r\n\r\n".encode())
        assert answer.status == 400
    assert recorder.requests == []


def test_of_two_header_lengths_the_checked_one_is_forwarded(recorded):
    world, recorder = recorded
    recorder.requests.clear()
    second = "Inference-Header-Content-Length: 7\r\nConnection: close\r\n"
    [answer] = world.raw(f"{INFER}{world.head}{second}Content-Length: 1\r\n\r\nx".encode())
    assert answer.status == 200
    name = "Inference-Header-Content-Length"
    assert re.findall(f"{name}: .*\r", recorder.requests[0][0]) == [f"{name}: 0\r"]


@pytest.mark.parametrize("length", ["0", "1", "3", "4", "5", "100000000", "00"])
def test_any_header_length_gets_an_answer(best, length):
    with gateway_for(best) as world:
        [answer] = world.raw(
            f"{INFER}Host: x\r\nAuthorization: Bearer {world.key}\r\nContent-Length: 4\r\n"
            f"Inference-Header-Content-Length: {length}\r\nConnection: close\r\n\r\nbody".encode()
        )
        assert answer.status == 400
        assert "error" in answer.body.decode()
        with world.client("http") as client:
            assert client.health().ok
