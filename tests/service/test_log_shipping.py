"""deploy/logs/rsyslog.conf in the real rsyslogd, with a recorder of bulk requests."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import threading

from waiting import eventually

from aurum.paths import CHECKOUT


class Bulk(http.server.BaseHTTPRequestHandler):
    """Accepts everything, as Elasticsearch does, which can't be installed here."""

    def do_POST(self) -> None:
        lines = self.rfile.read(int(self.headers["Content-Length"])).decode().splitlines()
        pairs = [json.loads(line) for line in lines if line]
        self.server.documents += list(zip(pairs[::2], pairs[1::2], strict=True))
        self.answer({"errors": False, "items": [{"index": {"status": 201}}] * (len(pairs) // 2)})

    def do_GET(self) -> None:
        self.answer({})

    do_HEAD = do_GET

    def answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def docker(line: str, service: str | None) -> str:
    attrs = {"attrs": {"aurum.service": service}} if service else {}
    entry = {"log": line + "\n", "stream": "stdout", **attrs, "time": "2026-11-24T11:00:00.1Z"}
    return json.dumps(entry) + "\n"


def test_lines_of_our_containers_arrive_as_documents(tmp_path):
    folder, state = tmp_path / "logs" / "c1", tmp_path / "state"
    folder.mkdir(parents=True)
    state.mkdir()
    file = folder / "c1-json.log"
    file.write_text(
        docker('{"request_id":"r-1","status":200}', "gateway")
        + docker('a "quoted" line', "triton")
        + docker("somebody else's", None)
        + "not JSON\n"
        + docker("{broken", "triton")
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bulk) as server:
        server.documents = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        process = subprocess.Popen(
            ["/usr/sbin/rsyslogd", "-n", "-i", tmp_path / "pid",
             "-f", CHECKOUT / "deploy" / "logs" / "rsyslog.conf"],
            env={**os.environ, "LOGS_FOLDER": str(tmp_path / "logs"), "LOGS_STATE": str(state),
                 "ELASTICSEARCH_HOST": "127.0.0.1", "ELASTICSEARCH_TLS": "off",
                 "ELASTICSEARCH_PORT": str(server.server_port),
                 "ELASTICSEARCH_USER": "", "ELASTICSEARCH_PASSWORD": ""},
        )  # fmt: skip
        try:
            eventually(lambda: len(server.documents) >= 3)
            with file.open("a") as log:
                log.write(docker("later", "gateway"))
            eventually(lambda: len(server.documents) >= 4)
        finally:
            process.terminate()
            process.wait(timeout=60)
            server.shutdown()
    common = {"@timestamp": "2026-11-24T11:00:00.1Z", "stream": "stdout"}
    assert [document for _, document in server.documents] == [
        {**common, "service": {"name": "gateway"}, "aurum": {"request_id": "r-1", "status": 200}},
        {**common, "service": {"name": "triton"}, "message": 'a "quoted" line'},
        {**common, "service": {"name": "triton"}, "message": "{broken"},
        {**common, "service": {"name": "gateway"}, "message": "later"},
    ]
    assert all(action["index"]["_index"].startswith("aurum-20") for action, _ in server.documents)
