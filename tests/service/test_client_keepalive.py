"""How often a gRPC client may ping Triton, and that ours stays below it."""

from __future__ import annotations

import re
import subprocess

import grpc
from aurum_client._grpc import CHANNEL, KEEPALIVE
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub
from waiting import eventually

from aurum.paths import CHECKOUT
from aurum.server.runtime import tritonserver_home

OPTIONS = dict(CHANNEL)


def triton_default(flag: str) -> int:
    """The default that `tritonserver --help` states."""
    server = tritonserver_home() / "bin" / "tritonserver"
    shown = subprocess.run([server, "--help"], capture_output=True, text=True, check=False)
    text = " ".join((shown.stdout + shown.stderr).split())
    return int(re.search(rf"--{flag} <\w+> .*?[Dd]efault is (\d+)", text)[1])


def test_our_pings_are_rarer_than_triton_allows_and_only_sent_during_calls():
    allowed = triton_default("grpc-http2-min-recv-ping-interval-without-data")
    assert OPTIONS["grpc.keepalive_time_ms"] == KEEPALIVE * 1000 > allowed
    assert triton_default("grpc-keepalive-permit-without-calls") == 0
    assert OPTIONS["grpc.keepalive_permit_without_calls"] == 0


def test_the_contract_states_the_interval():
    page = (CHECKOUT / "docs/reference/wire.md").read_text(encoding="utf-8")
    section = page.partition("## Pings")[2].partition("\n## ")[0]
    seconds = triton_default("grpc-http2-min-recv-ping-interval-without-data") // 1000
    assert f"{seconds // 60} minutes" in section
    assert f"every {KEEPALIVE} s" in (CHECKOUT / "docs/reference/contract.md").read_text()


def test_the_embedded_server_closes_a_connection_with_frequent_pings(simulated):
    """Triton's defaults apply: `aurum up` doesn't change them."""
    options = [
        ("grpc.keepalive_time_ms", 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    states = []
    target = simulated.urls[1].removeprefix("grpc://")
    with grpc.insecure_channel(target, options) as channel:
        channel.subscribe(states.append)
        stub = GRPCInferenceServiceStub(channel)
        assert stub.ServerLive(messages.ServerLiveRequest()).live
        eventually(lambda: grpc.ChannelConnectivity.READY in states)
        eventually(lambda: states[-1] is not grpc.ChannelConnectivity.READY)
