"""Callers who disconnect keep their place, so that a key never exceeds its limit in Triton."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import httpx
import numpy as np
import pytest
from gateway_world import INFER, World, gateway_for
from waiting import eventually

from aurum.server.ephemeral import Service, running
from aurum.settings import Settings
from benchmarks.robustness.hostile.requests import message

LIMIT, BURST = 4, 32


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Service]:
    """Its own server, which stays busy for a while afterwards."""
    settings = replace(Settings.from_env(), profile="simulated")
    with running(settings, tmp_path_factory.mktemp("gone")) as service:
        yield service


@pytest.fixture(scope="module")
def heavy() -> bytes:
    """Small as a file, and slow to decode."""
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    photo = cv2.resize(noise, (6000, 6000), interpolation=cv2.INTER_NEAREST)
    return cv2.imencode(".png", photo)[1].tobytes()


def over_http(world: World, photo: bytes) -> None:
    with world.socket() as connection:
        head = f"POST {INFER} HTTP/1.1\r\n{world.head}Content-Length: {len(photo)}\r\n\r\n"
        connection.sendall(head.encode() + photo)
        time.sleep(0.3)


def over_grpc(world: World, photo: bytes) -> None:
    """The connection ends with the call, when curl gives up."""
    body = message("detect_faces", photo).SerializeToString()
    world.call(
        "ModelInfer",
        b"\0" + len(body).to_bytes(4, "big") + body,
        *("-H", "Content-Type: application/grpc", "-H", f"Authorization: Bearer {world.key}"),
        *("--max-time", "0.4"),
    )


@pytest.mark.parametrize("ask", [over_http, over_grpc])
def test_after_a_burst_of_dropped_photos_triton_has_no_more_than_the_limit(service, heavy, ask):
    with gateway_for(service, rate=10_000, burst=10_000, connections=LIMIT) as world:
        most = 0
        with ThreadPoolExecutor(BURST) as pool:  # all at once, however fast photos are processed
            asked = [pool.submit(ask, world, heavy) for _ in range(BURST)]
            while not all(one.done() for one in asked):
                most = max(most, pending(service))
        assert 0 < most <= LIMIT
        eventually(lambda: pending(service) == 0)
        eventually(lambda: len(world.log()) == BURST)
        reached = [line for line in world.log() if line["server"]]
        assert len(reached) >= LIMIT, "the others found no place"
        ends = Counter(line["status"] for line in world.log())
    if ask is over_grpc:
        assert ends[499] > 0
    else:
        assert ends[429] > 0


def pending(service: Service) -> int:
    """Requests that wait for the pipeline's step or are being processed by it."""
    url = f"http://127.0.0.1:{service.settings.metrics_port}/metrics"
    found = re.findall(
        r'^nv_inference_pending_request_count\{model="each_face".*\} (\d+)$',
        httpx.get(url).text,
        re.M,
    )
    return sum(map(int, found)) + service.server.busy


def test_a_caller_that_stays_frees_its_place_at_once(service, astronaut):
    with gateway_for(service, rate=10_000, burst=10_000, connections=1) as world:
        for protocol in ("http", "grpc"):
            with world.client(protocol) as client:
                for _ in range(20):
                    client.detect(astronaut)
