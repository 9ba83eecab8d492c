"""The benchmark suite and its tools run against a real server and report failures; no timings."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat

import pytest
from in_thread import in_thread

from aurum.paths import PHOTO
from aurum.settings import Settings
from benchmarks.baselines import competitor, local
from benchmarks.common import names, rows
from benchmarks.load import inputs, locust_run, perf_analyzer, wrk
from benchmarks.performance import runner
from benchmarks.performance.report.targets import TARGETS


def test_a_perf_analyzer_failure_is_shown_with_its_reason(simulated, tmp_path):
    data = tmp_path / "bad.json"
    data.write_text('{"data": [{"image": ["not a photo"]}]}')
    workload = inputs.Workload("bad", "analyze_faces", data)
    with pytest.raises(perf_analyzer.PerfAnalyzerError, match=r"\[invalid_image\]"):
        perf_analyzer.run(simulated.urls[0], workload, 1, tmp_path, perf_analyzer.SMOKE)


def test_windows_grow_until_a_request_ends_within_one(simulated, tmp_path):
    """Otherwise a busy machine, on which no request ends in time, would fail the measurement."""
    workload = inputs.photos_of("analyze_faces", [PHOTO.read_bytes()], tmp_path)
    result = perf_analyzer.run(
        simulated.urls[1], workload, 1, tmp_path, perf_analyzer.steady(0.003)
    )
    assert result.requests > 0
    assert result.row.rate > 0


class Answering(BaseHTTPRequestHandler):
    """Answers each request with nothing, after the next delay of its server."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(next(self.server.delays))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def answering(*delays):
    """A server that answers after these seconds; the last ones are for all further requests."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.delays = chain(delays, repeat(delays[-1]))
    with in_thread(server):
        yield f"http://127.0.0.1:{server.server_port}"


def test_wrk_measures_for_longer_until_there_is_an_answer():
    with answering(1.5) as url:
        load = wrk.post(f"{url}/", wrk.Body(b"x"), 1, 1)
    assert load.requests > 0
    assert load.failures == 0


def test_locust_runs_for_longer_until_a_request_ends(tmp_path):
    """The first answer comes after the run has ended and its users have been stopped."""
    with answering(15, 0) as url:
        load = locust_run.run_rate(url, tmp_path, 1, seconds=1)
    assert load.requests > 0


@pytest.mark.parametrize(
    ("protocol", "status"), [("http", "400"), ("grpc", "StatusCode.INVALID_ARGUMENT")]
)
def test_locust_counts_failures_by_their_reason(simulated, tmp_path, protocol, status):
    (tmp_path / "broken.jpg").write_bytes(PHOTO.read_bytes()[:1000])
    url = simulated.urls[protocol == "grpc"]
    load = locust_run.run_rate(url, tmp_path / "run", 5, seconds=2, photos=tmp_path)
    assert load.failures == load.requests > 0
    assert load.reasons == {f"{status} [invalid_image]": load.failures}
    assert not locust_run.held(load, 5)


@pytest.mark.timeout(3600)  # it takes a minute, and far longer where other work has the cores
def test_the_whole_suite_runs_and_reports_through_the_command_line(tmp_path):
    """All files and sections are written. Figures are not checked: they mean nothing here."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "benchmarks"]
    flags = ["--suite", "smoke", "--out", out, "--photos", PHOTO]
    environment = {**os.environ, "AURUM_PROFILE": "simulated"}
    shown = subprocess.run(
        [*command, "run", *flags], env=environment, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    report = (out / "report.md").read_text()
    for target in TARGETS:
        assert target.figure in report
    for title in (
        *("Machine", "Service, baselines and competitor", "Models", "Cost of a face", "Memory"),
        *("Batches and time by model", "perf_analyzer", "Locust", "GPU"),
    ):
        assert f"## {title}\n" in report
    assert "Not measured" not in report
    # Simulated photos have one face, so the cost of one more can't be measured. All else is.
    assert report.count("| not measured |") == 2
    tables = {
        *("compare", "models", "faces", "batching", "perf_analyzer", "locust", "soak", "soak_load")
    }
    assert {path.stem for path in (out / "raw").glob("*.csv")} == tables
    run = json.loads((out / "raw" / "run.json").read_text())
    assert list(run["parts"]) == list(runner.PARTS)
    compared = rows.read(out / "raw" / "compare.csv", rows.Run)
    assert {row.what for row in compared} == {
        *(names.BASELINE, names.BASELINE_SERVED, names.SERVICE, names.SERVICE_PLAIN),
        *(names.SERVICE_GRPC, names.COMPETITOR, names.COMPETITOR_SERVED, names.ORCHESTRATED),
    }
    assert all(row.rate > 0 and row.failures == 0 for row in compared)
    processes = {row.process for row in rows.read(out / "raw" / "soak.csv", rows.Sample)}
    assert processes >= {"tritonserver", "each_face"}
    plots = {path.name for path in (out / "plots").iterdir()}
    assert len(plots) == 7
    assert all(f"(plots/{name})" in report for name in plots)

    (out / "report.md").unlink()
    again = subprocess.run([*command, "report", out], capture_output=True, text=True, check=True)
    assert again.stdout.strip() == str(out / "report.md")
    assert (out / "report.md").read_text() == report


def test_perf_analyzer_inputs_are_written_for_every_workload(simulated, tmp_path):
    flags = ["--photos", str(PHOTO), "--url", simulated.urls[0], "--out", str(tmp_path)]
    command = [sys.executable, "-m", "benchmarks", "inputs", *flags]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert {path.stem for path in tmp_path.glob("*.json")} == {
        *("face_detection", "face_embedding", "detect_faces", "embed_face"),
        *("embed_face_aligned", "analyze_faces"),
    }


def test_missing_photos_are_named(tmp_path):
    nothing = tmp_path / "nothing.jpg"
    with pytest.raises(locust_run.LocustError, match=r"nothing\.jpg"):
        locust_run.run("http://127.0.0.1:9", tmp_path, users=1, seconds=1, photos=nothing)


def test_a_service_of_the_users_own_is_measured_beside_ours():
    """With the FastAPI competitor in its place."""
    settings = replace(Settings.from_env(), profile="simulated")
    with competitor.running([local.SERVED], settings) as urls:
        command = [sys.executable, "-m", "benchmarks", "against", urls[local.SERVED][0]]
        flags = "--adapter raw --profile simulated --clients 2 --seconds 1 --rounds 1"
        shown = subprocess.run(
            [*command, *flags.split()], capture_output=True, text=True, check=False
        )
    assert shown.returncode == 0, shown.stderr
    assert "faces found: ours 1, the other 1" in shown.stderr
    ours, other, ratio = shown.stdout.splitlines()[2:]
    for line, name in ((ours, "ours"), (other, "the other")):
        assert line.startswith(f"| 2 | {name} | ")
        assert line.endswith(" 0 |")
    assert ratio.startswith("| 2 | **ratio** | ")


def test_bulk_is_compared_with_a_bare_loop(simulated, tmp_path):
    for number in range(10):
        (tmp_path / f"{number}.jpg").symlink_to(PHOTO)
    flags = ["--photos", tmp_path, "--url", simulated.urls[0], "--rounds", "2"]
    command = [sys.executable, "-m", "benchmarks", "bulk", *flags]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    *rounds, last = map(json.loads, shown.stdout.splitlines())
    assert len(rounds) == 2
    assert all(one["ratio"] == pytest.approx(one["bulk"] / one["bare"]) for one in rounds)
    assert last["median ratio"] > 0
