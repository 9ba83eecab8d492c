"""A real Prometheus with the files of monitoring/ monitors a real server under load."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Iterator
from contextlib import suppress

import httpx
import psutil
import pytest
from aurum_client import FaceClient, UnavailableError
from images import jpeg
from monitors import DAYS, FOLDER, Monitors, eventually, monitoring

from aurum.server.ephemeral import Service, running
from aurum.settings import Settings

DASHBOARD = json.loads((FOLDER / "grafana" / "dashboards" / "aurum.json").read_text("utf-8"))
# What only newer releases of Triton have (aurum/server/triton_version.py).
NEWER = "nv_inference_first_response_histogram_ms_bucket"
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", [])
    if NEWER not in target["expr"]
]
# What an expression contains besides the names of metrics and functions.
SYNTAX = {
    "sum",
    "avg",
    "max",
    "min",
    "count",
    "by",
    "or",
    "and",
    "on",
    "instance",
    "model",
    "le",
    "offset",
}


def metrics_of(expression: str) -> set[str]:
    """The names of metrics in an expression."""
    numbers = r"(?<![\w:])\d+[smhd]\b|\b\d[\d.]*(e[+-]?\d+)?\b"
    plain = re.sub(rf"\{{[^}}]*\}}|\[\w+\]|{numbers}", " ", expression)
    return set(re.findall(r"[a-z_][\w:]*(?!\w*\s*\()\b", plain)) - SYNTAX


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Iterator[Service]:
    with running(Settings.from_env(), tmp_path_factory.mktemp("watched")) as service:
        yield service


@pytest.fixture(scope="module")
def monitors(watched, tmp_path_factory, astronaut) -> Iterator[Monitors]:
    """Prometheus and the other programs, with a small load of all kinds of requests for a while."""
    with monitoring(watched, tmp_path_factory.mktemp("monitors")) as monitors:
        stop = threading.Event()
        load = threading.Thread(target=_load, args=(watched, astronaut, stop))
        load.start()
        try:
            # Rates need two samples, and Prometheus turns them into recorded series.
            eventually(lambda: _answered(monitors) > 60 and monitors.query("aurum:error_ratio:3d"))
            yield monitors
        finally:
            stop.set()
            load.join()


def _load(service: Service, photo: bytes, stop: threading.Event) -> None:
    photos = [photo, jpeg(64, 64), photo, b"not a photo"]
    with FaceClient(service.urls[1], timeout=60) as client:
        while not stop.is_set():
            client.analyze_many(photos, concurrency=2)
            for ask in (client.detect, client.embed):
                with suppress(UnavailableError):  # the last test kills a stub
                    ask(photo)
            stop.wait(0.1)


def _answered(monitors: Monitors) -> float:
    return sum(value for _, value in monitors.query('aurum_requests_total{code="ok"}'))


def test_every_target_is_up(monitors):
    def health() -> dict[str, str]:
        targets = monitors.ask("targets")["activeTargets"]
        return {item["labels"]["job"]: item["health"] for item in targets}

    jobs = {"triton", "processes", "alertmanager", "ready", "inference", "certificate"}
    eventually(lambda: health() == dict.fromkeys(jobs, "up"))


def test_the_probes_see_a_healthy_service_and_a_certificate(monitors):
    eventually(
        lambda: (
            {item["job"]: value for item, value in monitors.query("probe_success")}
            == {"ready": 1, "inference": 1, "certificate": 1}
        )
    )
    ((_, left),) = monitors.query('probe_ssl_earliest_cert_expiry{job="certificate"} - time()')
    assert (DAYS - 1) * 86400 < left <= DAYS * 86400


def test_every_process_is_monitored_with_its_memory(monitors):
    names = {
        item["groupname"]: value
        for item, value in monitors.query(
            'namedprocess_namegroup_memory_bytes{memtype="proportionalResident"}'
        )
    }
    assert names.keys() == {"tritonserver", "stub each_face"}
    assert min(names.values()) > 10e6


@pytest.mark.parametrize("query", QUERIES)
def test_every_dashboard_query_returns_data(monitors, query):
    def numbers() -> list[float]:
        found = monitors.query(query.replace("$__rate_interval", "30s"))
        return [value for _, value in found if math.isfinite(value)]

    # Percentiles of a pipeline without requests in the last minute are not numbers.
    assert eventually(numbers, 20)


def test_every_metric_in_the_rules_exists(monitors):
    known = set(monitors.ask("label/__name__/values"))
    rules = [rule for group in monitors.ask("rules")["groups"] for rule in group["rules"]]
    named = {name for rule in rules for name in metrics_of(rule["query"])}
    assert named >= {"up", "aurum_requests_total", "aurum:error_ratio:3d", "probe_success"}
    assert named - known == {NEWER}


def test_every_rule_is_evaluated_and_no_alert_fires(monitors):
    def evaluated() -> list[dict[str, object]]:
        rules = [rule for group in monitors.ask("rules")["groups"] for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else []

    rules = eventually(evaluated)
    assert [rule["lastError"] for rule in rules if rule["health"] != "ok"] == []
    # Tests don't check how long photos take.
    eventually(lambda: monitors.alerts().keys() <= {"AurumLatencyP95"})
    for _, ratio in monitors.query("aurum:error_ratio:5m"):
        assert ratio == 0  # the load's bad photos are client errors


def test_a_killed_stub_raises_alerts_that_reach_alertmanager(monitors, watched):
    """The last test here: the server is not usable afterwards."""
    one, other = [
        process
        for process in psutil.Process(watched.server.pid).children()
        if {"each_face_0_0", "each_face_1_0"} & set(process.cmdline())
    ]
    one.kill()
    eventually(lambda: "AurumStubDead" in monitors.alerts())
    # The other stub may continue to answer, and so may the probe.
    other.kill()
    expected = {"AurumStubDead", "AurumNotReady", "AurumErrorRatio", "AurumErrorBudgetBurnFast"}
    eventually(lambda: monitors.alerts().keys() >= expected)
    # Triton's own readiness continues to report that all is well.
    assert [value for _, value in monitors.query('probe_success{job="ready"}')] == [1]
    told = eventually(
        lambda: {
            item["labels"]["alertname"]: item
            for item in httpx.get(f"{monitors.alertmanager}/api/v2/alerts").json()
        }.get("AurumStubDead")
    )
    assert told["labels"]["groupname"] == "stub each_face"
    assert [receiver["name"] for receiver in told["receivers"]] == ["page"]
