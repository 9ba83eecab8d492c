"""The traces of requests through the gateway."""

from __future__ import annotations

from dataclasses import replace

import pytest
from collectors import Collector, collecting, spans
from gateway_world import INFER, RAW, World
from waiting import eventually

from aurum.server.ephemeral import running
from aurum.settings import Settings
from benchmarks.common import gateways

NEVER = (1 << 31) - 1  # Triton's own choice: one request in as many
FORGED = "11111111111111111111111111111111"


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """A gateway that traces every request, and the collector."""
    with collecting() as collector:
        url = f"http://127.0.0.1:{collector.server_port}/v1/traces"
        settings = replace(Settings.from_env(), profile="simulated", trace_url=url)
        served = replace(settings, trace_rate=NEVER)
        with (
            running(served, tmp_path_factory.mktemp("traced")) as service,
            gateways.running([service.settings], replace(settings, trace_rate=1)) as made,
        ):
            yield World(made.gateway, made.ca, made.key), collector


def names(collector: Collector, ids: set[str]) -> list[set[str]]:
    """The names of the spans of each of these traces that has arrived."""
    return [
        {str(span["name"]) for span in of_one}
        for trace, of_one in spans(collector).items()
        if trace in ids
    ]


@pytest.mark.parametrize("own", ["", "0af7651916cd43dd8448eb211c80319c"])
def test_a_requests_id_is_its_traces_id(traced, astronaut, own):
    """Triton 2.51 leaves out some traces (docs/guides/monitoring.md): one of five must arrive."""
    world, collector = traced
    headers = {"traceparent": f"00-{FORGED}-b7ad6b7169203331-01"}
    ids = set()
    with world.http(**RAW, **headers, **({"X-Request-Id": own} if own else {})) as http:
        for _ in range(5):
            answer = http.post(INFER, content=astronaut)
            assert answer.is_success
            ids.add(answer.headers["X-Request-Id"])
    assert ids == {own} or not own
    whole = {"InferRequest", "photo", "decode", "look"}
    eventually(lambda: any(whole <= seen for seen in names(collector, ids)), seconds=30)
    assert FORGED not in spans(collector)


def test_an_id_that_can_be_no_traces_id_is_an_attribute(traced, astronaut):
    world, collector = traced
    with world.http(**RAW, **{"X-Request-Id": "order-9"}) as http:
        assert http.post(INFER, content=astronaut).is_success

    def ids() -> list[object]:
        return [
            item["value"]
            for trace in spans(collector).values()
            for span in trace
            for item in span.get("attributes", [])
            if item["key"] == "aurum.request_id"
        ]

    eventually(lambda: {"stringValue": "order-9"} in ids(), seconds=30)


def test_over_grpc_a_callers_trace_is_not_taken_up(traced, astronaut):
    """Triton 2.51 leaves out some traces over gRPC (docs/guides/monitoring.md): one must arrive."""
    world, collector = traced
    metadata = {**world.bearer, "traceparent": f"00-{FORGED}-b7ad6b7169203331-01"}
    ids = [f"4bf92f3577b34da6a3ce929d0e0e47{number:02x}" for number in range(10)]
    with world.client("grpc", headers=metadata) as client:
        for trace in ids:
            client.analyze(astronaut, request_id=trace)
    eventually(lambda: spans(collector).keys() & set(ids), seconds=30)
    assert FORGED not in spans(collector)
