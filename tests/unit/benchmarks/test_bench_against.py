"""The comparison with a service that the user starts: its adapters, and a whole run."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgpack
import pytest
from in_thread import in_thread

from benchmarks.performance import against

ANSWER = {"data": [{"status": "ok", "faces": [{"prob": 0.9}, {"prob": 0.8}]}]}


@contextmanager
def service(answer, status=200):
    """An HTTP server that gives each POST this answer, and keeps the requests."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.headers["Content-Type"], body))
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args):
            """Keep requests out of the tests' output."""

    asked = []
    with in_thread(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}/extract", asked


def target(url, adapter="insightface-rest"):
    chosen = against.ADAPTERS[adapter]
    header = {"Content-Type": chosen.media_type}
    return chosen, against.Target(url, chosen.body(b"photo"), header, None)


def test_insightface_rest_gets_the_photo_in_msgpack():
    with service(msgpack.packb(ANSWER)) as (url, asked):
        assert against.count_faces(*target(url)) == 2
    ((media_type, body),) = asked
    assert media_type == "application/msgpack"
    sent = msgpack.unpackb(body)
    assert sent["images"] == {"data": [b"photo"]}
    assert sent["extract_embedding"]
    assert sent["msgpack"]


def test_another_service_gets_the_photo_itself():
    with service(json.dumps({"boxes": [[1, 2, 3, 4]]}).encode()) as (url, asked):
        assert against.count_faces(*target(url, "raw")) == 1
    assert asked == [("application/octet-stream", b"photo")]


@pytest.mark.parametrize(
    ("answer", "status", "why"),
    [
        (b"no", 500, "500"),
        (b"<html>", 200, "not the adapter's answer"),
        (msgpack.packb({"faces": []}), 200, "not the adapter's answer"),
        (msgpack.packb({"data": [{"status": "failed"}]}), 200, "failed"),
    ],
)
def test_a_wrong_answer_is_an_error_before_any_load(answer, status, why):
    with (
        service(answer, status) as (url, asked),
        pytest.raises(against.OtherServiceError, match=why),
    ):
        against.count_faces(*target(url))
    assert len(asked) == 1


def test_a_service_that_does_not_run_is_an_error():
    with pytest.raises(against.OtherServiceError, match="refused"):
        against.count_faces(*target("http://127.0.0.1:1/extract"))
    with pytest.raises(against.OtherServiceError, match="nowhere"):
        against.count_faces(*target("nowhere"))
