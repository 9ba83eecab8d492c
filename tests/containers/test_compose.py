"""docker-compose.yml, run as the docs say. The tests build on each other, in this order."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import pytest
import yaml
from aurum_client import AurumError, UnavailableError
from waiting import eventually

from aurum.paths import PHOTO

OURS = ("triton", "gateway")
SERVER = "^tritonserver "


def test_every_service_is_healthy_after_the_documented_commands(project):
    """`docker compose up -d --wait` has exited with 0, or the fixture would have failed."""
    services = yaml.safe_load((project.folder / "docker-compose.yml").read_text())["services"]
    for name in services.keys() - {"logs"}:
        assert project.health(name) == "healthy", name


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_photo_is_answered_through_the_gateway(project, astronaut, protocol):
    with project.client(protocol) as client:
        assert len(client.analyze(astronaut)) == 1


def test_a_photo_is_answered_over_http_2(project, astronaut):
    status, body = project.curl(
        "/v2/models/analyze_faces/infer", "--http2", "-H", f"Authorization: Bearer {project.key}",
        "-H", "Inference-Header-Content-Length: 0", "-w", "%{http_version}\n%{http_code}",
        "-o", "/dev/null", "--data-binary", f"@{project.folder}/aurum/assets/astronaut.jpg",
    )  # fmt: skip
    assert (status, body) == (200, "2")


@pytest.mark.parametrize("name", OURS)
def test_the_root_is_read_only_and_there_are_no_capabilities(project, name):
    status = project.execute(name, "cat", "/proc/1/status")
    lines = dict(line.split(":\t", 1) for line in status.splitlines())
    assert set(lines["Uid"].split()) == set(lines["Gid"].split()) == {"1000"}
    assert {int(lines[key], 16) for key in lines if key.startswith("Cap")} == {0}
    assert lines["NoNewPrivs"] == "1"
    refused = project.compose("exec", "-T", name, "touch", "/opt/aurum/x", check=False)
    assert "Read-only file system" in refused.stderr


def test_the_containers_server_has_what_aurum_up_gives_it(project):
    server = project.process(SERVER)
    flags = server.cmdline()
    assert "--allow-gpu-metrics=false" in flags
    # Docker forbids the system call behind host policies, so that Triton would load no model.
    assert not [flag for flag in flags if flag.startswith("--host-policy=")]
    environment = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": str(8 << 20)}
    assert environment.items() <= server.environ().items()
    logged = project.compose("logs", "triton").stdout
    assert "aurum: kernels: " in logged


def watched(project) -> bool:
    """Whether Prometheus gets something from every target, and tells Alertmanager."""
    targets = project.prometheus("targets")["activeTargets"]
    return {item["health"] for item in targets} == {"up"}


def series(project) -> dict[str, float]:
    """The memory that Prometheus knows of now, by process."""
    query = (
        "query?query=namedprocess_namegroup_memory_bytes%7Bmemtype%3D%22proportionalResident%22%7D"
    )
    found = project.prometheus(query)["result"]
    return {item["metric"]["groupname"]: float(item["value"][1]) for item in found}


def test_everything_is_scraped_and_the_rules_are_loaded(project):
    eventually(lambda: watched(project), 60, pause=1)
    jobs = {item["labels"]["job"] for item in project.prometheus("targets")["activeTargets"]}
    assert jobs == {"triton", "processes", "alertmanager", "ready", "inference", "certificate"}
    rules = [rule for group in project.prometheus("rules")["groups"] for rule in group["rules"]]
    assert len(rules) > 20
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    assert project.prometheus("alertmanagers")["activeAlertmanagers"]
    eventually(lambda: len(series(project)) == 3, 60, pause=1)
    assert min(series(project).values()) > 10e6


@pytest.mark.parametrize("pattern", [SERVER, "stub .* each_face_0_0"], ids=["server", "stub"])
def test_a_killed_process_is_replaced_and_watched_again(project, astronaut, pattern):
    before = project.inspect("triton")["RestartCount"]
    with project.client("http", retries=40, timeout=90) as client:
        project.process(pattern).kill()
        client.detect(astronaut)  # by its retries alone
    eventually(lambda: project.inspect("triton")["RestartCount"] > before, 30)
    project.answers()
    since = time.time()
    eventually(lambda: scraped(project, since) == 3, 60, pause=1)


def scraped(project, since: float) -> int:
    """How many processes' memory was reported later than at a time."""
    query = "query?query=timestamp(namedprocess_namegroup_memory_bytes)"
    found = project.prometheus(query)["result"]
    return sum(float(item["value"][1]) > since for item in found)


@contextmanager
def load(project, photo: bytes, protocol: str, senders: int = 4) -> Iterator[list[str]]:
    """Clients with their defaults that send all the time; "" or the error of each call."""
    results: list[str] = []
    stop = threading.Event()

    def send() -> None:
        with project.client(protocol) as client:
            while not stop.is_set():
                try:
                    client.detect(photo)
                    results.append("")
                except AurumError as error:
                    results.append(repr(error))

    with ThreadPoolExecutor(senders) as pool:
        sending = [pool.submit(send) for _ in range(senders)]
        try:
            eventually(lambda: len(results) > 20)
            yield results
        finally:
            stop.set()
        for each in sending:
            each.result()


def test_nobody_notices_that_one_of_two_tritons_is_stopped(project, astronaut, record_property):
    project.compose("up", "-d", "--wait", "--no-recreate", "--scale", "triton=2", "triton")
    first, second = project.containers("triton")

    def known() -> int:
        grep = ("grep", "-c", ":8001", "/run/aurum/nginx.conf")
        return int(project.execute("gateway", *grep, check=False) or 0)  # 0 while it is written

    eventually(lambda: known() == 4, 30, pause=0.5)  # two upstreams of two servers
    for stopped, protocol in ((first, "grpc"), (second, "http")):
        with load(project, astronaut, protocol) as results:
            project.engine.run("stop", stopped)
            eventually(lambda: known() == 2, 30, pause=0.5)
            enough = len(results) + 50
            eventually(lambda enough=enough, results=results: len(results) >= enough)
        failed = [result for result in results if result]
        record_property(protocol, f"{len(failed)} of {len(results)} failed")
        print(f"\n{protocol}: {len(failed)} of {len(results)} failed", end="")
        assert not failed, failed[:3]
        state = json.loads(project.engine.out("inspect", stopped))[0]["State"]
        assert state["ExitCode"] == 0
        project.engine.run("start", stopped)
        eventually(lambda: known() == 4, 60, pause=0.5)
        eventually(
            lambda stopped=stopped: project.engine.out(
                "inspect", "-f", "{{.State.Health.Status}}", stopped) == "healthy", 90, pause=0.5,
        )  # fmt: skip
    project.compose("up", "-d", "--wait", "--no-recreate", "--scale", "triton=1", "triton")
    eventually(lambda: known() == 2, 30, pause=0.5)


def test_a_stop_finishes_what_is_in_flight(project):
    large = cv2.resize(cv2.imread(str(PHOTO)), (4000, 4000))
    photo = cv2.imencode(".jpg", large)[1].tobytes()
    with project.client("http", retries=0, timeout=60) as client, ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(client.analyze, photo, detection_size=2560) for _ in range(12)]
        # What comes after the stop is refused. They arrive in milliseconds and take seconds.
        time.sleep(0.5)
        assert not all(answer.done() for answer in answers)
        project.compose("stop", "triton")
        assert all(answer.result() for answer in answers)
    assert project.inspect("triton")["State"]["ExitCode"] == 0


def test_the_gateway_starts_without_a_triton_and_finds_it_later(project, astronaut):
    """The last test has stopped it."""
    project.compose("rm", "-f", "triton")  # its name leads nowhere
    project.compose("up", "-d", "--wait", "--no-deps", "--force-recreate", "gateway")
    assert project.inspect("gateway")["RestartCount"] == 0
    assert project.health("gateway") == "healthy"
    status, body = project.curl("/v2/health/ready")
    assert status == 503
    assert json.loads(body)["error"].startswith("[unavailable]")
    with project.client("grpc", retries=0) as client, pytest.raises(UnavailableError) as caught:
        client.detect(astronaut)
    assert "no server can answer now" in str(caught.value)
    project.compose("up", "-d", "--wait", "triton")
    project.answers(20)
    assert project.inspect("gateway")["RestartCount"] == 0


def test_a_stopped_gateway_leaves_triton_alone(project):
    started = project.inspect("triton")["State"]["StartedAt"]
    project.compose("stop", "gateway")
    assert project.inspect("gateway")["State"]["ExitCode"] == 0
    project.compose("up", "-d", "--wait", "gateway")
    project.answers()
    assert project.inspect("triton")["State"]["StartedAt"] == started


def test_out_of_memory_ends_a_process_and_the_service_comes_back(project):
    before = project.inspect("triton")["RestartCount"]
    since = str(int(time.time()))
    # tritonserver is to be the kernel's choice, and not the one that takes the memory.
    Path(f"/proc/{project.process(SERVER).pid}/oom_score_adj").write_text("1000")
    take = "x = bytearray(3 << 30)"
    project.compose("exec", "-T", "triton", "python3", "-c", take, check=False)
    eventually(lambda: project.inspect("triton")["RestartCount"] > before, 60)
    until = str(int(time.time()) + 1)
    events = project.engine.out(
        "events", "--since", since, "--until", until, "--filter", "event=oom"
    )
    assert " oom " in events
    project.answers()


@pytest.mark.parametrize("folder", ["empty", "unreadable"])
def test_a_missing_graph_is_one_clear_line(project, tmp_path, folder):
    tmp_path.chmod(0o755 if folder == "empty" else 0o700)
    image = project.inspect("triton")["Config"]["Image"]
    mount = f"{tmp_path}:/opt/aurum/model_repository:ro"
    ended = project.engine.run("run", "--rm", "--shm-size=1g", "-v", mount, image, check=False)
    assert ended.returncode == 1
    (line,) = (ended.stdout + ended.stderr).splitlines()
    assert line.startswith("aurum: /opt/aurum/model_repository/")
    assert "`aurum models build`" in line if folder == "empty" else "can't be read" in line


def test_an_upgrade_and_the_way_back(project):
    """As docs/guides/upgrade.md has them, with a new file for the new version."""
    image = project.inspect("triton")["Image"]
    new = project.folder / "aurum" / "newer.py"
    shell = ("sh", "-c", "ls /opt/aurum/aurum/newer.py")
    for change, status in ((lambda: new.write_text("# newer\n"), 0), (new.unlink, 2)):
        change()
        project.compose("build")
        project.compose("up", "-d", "--wait")
        project.answers()
        for name in OURS:
            assert project.compose("exec", "-T", name, *shell, check=False).returncode == status
    assert project.inspect("triton")["Image"] == image  # the very image of before


def test_logs_are_shipped(project, tmp_path):
    recorder = tmp_path / "recorder.py"
    recorder.write_text(RECORDER)
    override = project.folder / "logs.yml"
    override.write_text(
        yaml.safe_dump(
            {
                "services": {
                    "logs": {
                        "volumes": [f"{project.engine.containers}:/logs:ro"],
                        "environment": {"ELASTICSEARCH_TLS": "off"},
                        "depends_on": ["elasticsearch"],
                    },
                    "elasticsearch": {
                        "profiles": ["logs"],
                        "image": "aurum/gateway:0.2.0",
                        "entrypoint": ["python3", "/recorder.py"],
                        "healthcheck": {"disable": True},
                        "volumes": [f"{recorder}:/recorder.py:ro"],
                        "networks": ["outer"],
                        "init": True,
                    },
                }
            }
        )
    )
    files = ("-f", "docker-compose.yml", "-f", "logs.yml", "--profile", "logs")
    project.compose(*files, "up", "-d", "logs")
    project.curl("/v2/models/detect_faces/ready", "-H", "X-Request-Id: for-the-logs",
                 "-H", f"Authorization: Bearer {project.key}")  # fmt: skip
    shipped = lambda: project.compose(*files, "logs", "--no-log-prefix", "elasticsearch").stdout  # noqa: E731
    text = eventually(lambda: text if "for-the-logs" in (text := shipped()) else "", 30, pause=1)
    documents = [json.loads(line) for line in text.splitlines() if '"service"' in line]
    assert {item["service"]["name"] for item in documents} >= {"gateway", "triton", "prometheus"}
    (ours,) = [
        item for item in documents if item.get("aurum", {}).get("request_id") == "for-the-logs"
    ]
    assert ours["aurum"]["model"] == "detect_faces"
    assert project.inspect("logs")["RestartCount"] == 0
    project.compose(*files, "rm", "-sf", "logs", "elasticsearch")


RECORDER = """
from http.server import BaseHTTPRequestHandler, HTTPServer

class Bulk(BaseHTTPRequestHandler):
    def do_POST(self):
        lines = self.rfile.read(int(self.headers["Content-Length"])).decode()
        print(lines, flush=True)
        self.answer(b'{"errors": false, "items": []}')

    def do_GET(self):
        self.answer(b"{}")

    do_HEAD = do_GET

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass

HTTPServer(("0.0.0.0", 9200), Bulk).serve_forever()
"""
