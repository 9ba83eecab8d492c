"""More requests than the service can handle, and clients that disconnect."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
from aurum_client import AurumError, FaceClient, UnavailableError
from aurum_client.aio import AsyncFaceClient
from gateway_world import World, gateway_for
from waiting import eventually

BOUND = 64  # AURUM_GATEWAY_SERVER_CONNECTIONS, over each of two protocols


def pending(service, model: str) -> int:
    """Requests that wait for a model, from Triton's metrics."""
    settings = service.settings
    url = f"http://{settings.host}:{settings.metrics_port}/metrics"
    start = f'nv_inference_pending_request_count{{model="{model}"'
    lines = httpx.get(url, timeout=30, trust_env=False).text.splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(start))


async def flood(world: World, photo: bytes, count: int) -> list:
    """Send requests at the same moment; return each outcome and its time in seconds."""

    async def ask(client: AsyncFaceClient) -> tuple[object, float]:
        start = time.perf_counter()
        try:
            result: object = await client.analyze(photo)
        except AurumError as error:
            result = error
        return result, time.perf_counter() - start

    # One of our clients has at most 100 connections over HTTP.
    urls = [world.gateway.grpc_url, world.gateway.url] * 3
    given = {"ca_file": world.ca, "headers": world.bearer, "timeout": 120, "retries": 0}
    clients = [AsyncFaceClient(url, **given) for url in urls]
    try:
        return await asyncio.gather(*(ask(clients[n % len(clients)]) for n in range(count)))
    finally:
        for client in clients:
            await client.close()


def test_a_full_server_refuses_at_once_and_answers_what_it_accepted(
    simulated, astronaut, record_figure
):
    most = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.05):
            most = max(most, pending(simulated, "each_face"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    limits = {"rate": 10_000, "burst": 10_000, "connections": 10_000}
    with gateway_for(simulated, server_connections=BOUND, **limits) as world:
        results = asyncio.run(flood(world, astronaut, 600))
        with world.client("http") as client:
            assert len(client.analyze(astronaut)) == 1  # the service has recovered
    done.set()
    watcher.join()
    refused = [(error, seconds) for error, seconds in results if isinstance(error, AurumError)]
    answered = [seconds for result, seconds in results if not isinstance(result, AurumError)]
    record_figure("answered, refused of 600 at once", (len(answered), len(refused)))
    record_figure("longest queue", most)
    record_figure(
        "slowest refusal, slowest answer, s",
        (f"{max(seconds for _, seconds in refused):.2f}", f"{max(answered):.2f}"),
    )
    assert len(answered) >= BOUND
    assert most <= 2 * BOUND
    assert {type(error) for error, _ in refused} == {UnavailableError}
    assert all(error.retryable for error, _ in refused)


def test_clients_that_disconnect_affect_nobody(simulated, astronaut, record_figure):
    """During the upload or the answer; over HTTP and, by cancelling, over gRPC."""
    settings = simulated.settings
    head = (
        "POST /v2/models/analyze_faces/infer HTTP/1.1\r\nHost: x\r\n"
        "Content-Type: application/octet-stream\r\nInference-Header-Content-Length: 0\r\n"
        f"Content-Length: {len(astronaut)}\r\n\r\n"
    ).encode()
    gone: Counter[str] = Counter()
    answers: list[object] = []

    def leave(number: int) -> None:
        sent = (head[:50], head + astronaut[:5000], head + astronaut)[number % 3]
        with socket.create_connection((settings.host, settings.http_port)) as connection:
            connection.sendall(sent)
            if number % 2:  # a reset, as from a killed program, rather than a close
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        gone[f"http after {('header', 'upload', 'request')[number % 3]}"] += 1

    async def cancel(count: int) -> None:
        async with AsyncFaceClient(simulated.urls[1], retries=0) as client:
            for number in range(count):
                asked = asyncio.ensure_future(client.analyze(astronaut))
                await asyncio.sleep(number % 10 / 1000)
                asked.cancel()
                try:
                    await asked
                    gone["grpc, answered before"] += 1
                except asyncio.CancelledError:
                    gone["grpc"] += 1

    def stay(url: str) -> None:
        with FaceClient(url, timeout=60, retries=0) as client:
            for _ in range(60):
                answers.append(client.analyze(astronaut))

    with ThreadPoolExecutor(8) as pool:
        staying = [pool.submit(stay, url) for url in simulated.urls]
        leaving = [pool.submit(leave, number) for number in range(300)]
        leaving.append(pool.submit(lambda: asyncio.run(cancel(100))))
        for future in (*leaving, *staying):
            future.result()
    record_figure("gone", dict(gone))
    record_figure("others' answers", len(answers))
    assert len(answers) == 120
    first = answers[0]
    for answer in answers:  # nobody got another's answer
        np.testing.assert_array_equal(answer.boxes, first.boxes)
        np.testing.assert_allclose(answer.embeddings, first.embeddings, atol=1e-5)
    eventually(lambda: simulated.server.busy == 0)
    eventually(lambda: pending(simulated, "each_face") == 0)
    assert simulated.server.running
