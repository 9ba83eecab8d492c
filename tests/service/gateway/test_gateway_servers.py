"""Two servers behind the gateway: one is killed or stopped under load, and clients don't notice.

The clients are ours with their usual retries; docs/guides/deployment.md says what can be lost
without them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aurum_client import AurumError, UnavailableError
from gateway_world import World, failure, gateway_for, wait_for_more
from waiting import eventually

from aurum.gateway import keys, render, run
from aurum.gateway.render import GatewayError
from aurum.server.ephemeral import Service, running
from aurum.server.server import Server
from aurum.settings import Settings
from benchmarks.common.gateways import certificate

RETRIES = 2  # the client's default


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Iterator[tuple[World, list[Service]]]:
    settings = replace(Settings.from_env(), profile="simulated", drain_timeout=1)
    with (
        running(settings, tmp_path_factory.mktemp("one")) as one,
        running(settings, tmp_path_factory.mktemp("two")) as two,
        gateway_for(one, two, rate=10_000, burst=10_000) as world,
    ):
        yield world, [one, two]


@contextmanager
def load(world: World, photo: bytes, protocols: str) -> Iterator[list[str]]:
    """Keep four clients sending; yield the growing list of outcomes."""
    results: list[str] = []
    stop = threading.Event()

    def send(protocol: str) -> None:
        with world.client(protocol, retries=RETRIES) as client:
            while not stop.is_set():
                try:
                    client.analyze(photo)
                    results.append("answered")
                except AurumError as error:
                    results.append(f"{protocol}: {error!r}")

    with ThreadPoolExecutor(4) as pool:
        senders = [pool.submit(send, protocol) for protocol in protocols.split()]
        try:
            yield results
        finally:
            stop.set()
        for sender in senders:
            sender.result()


def served_by(world: World, since: int) -> set[str]:
    """The addresses that answered since that line of the log."""
    return {line["server"].split(", ")[-1] for line in world.log()[since:]}


def addresses(server: Server) -> set[str]:
    settings = server.settings
    return {f"127.0.0.1:{settings.http_port}", f"127.0.0.1:{settings.grpc_port}"}


def start(server: Server) -> None:
    server.start()
    server.wait_ready()


def test_a_server_is_killed_under_load_and_comes_back(pair, astronaut):
    """kill -9 of tritonserver and its stubs."""
    world, [_, two] = pair
    with load(world, astronaut, "http http grpc grpc") as results:
        wait_for_more(results, 30)
        two.server.kill()
        wait_for_more(results, 30)
        two.server.stop()  # only cleans up
        start(two.server)
        wait_for_share(world, two.server)
    assert Counter(results) == {"answered": len(results)}


def test_a_server_is_stopped_without_telling_the_gateway(pair, astronaut):
    """Over HTTP, where the gateway sees the refusals that follow the server's drain."""
    world, [one, _] = pair
    with load(world, astronaut, "http http http http") as results:
        wait_for_more(results, 30)
        one.server.stop()
        wait_for_more(results, 30)
        start(one.server)
        wait_for_more(results, 30)
    assert Counter(results) == {"answered": len(results)}


def test_a_server_is_taken_out_restarted_and_put_back(pair, astronaut):
    """The procedure for planned work, on both protocols: docs/guides/operations.md."""
    world, [out, stays] = pair
    settings = world.gateway.settings
    kept = f"127.0.0.1:{stays.settings.http_port}:{stays.settings.grpc_port}"
    with load(world, astronaut, "http http grpc grpc") as results:
        wait_for_more(results, 30)
        run.reload(replace(settings, gateway_servers=kept))
        wait_for_quiet(world, addresses(out.server), results)
        out.server.stop()
        start(out.server)
        run.reload(settings)
        wait_for_share(world, out.server)
    assert Counter(results) == {"answered": len(results)}


def wait_for_share(world: World, server: Server) -> None:
    """Wait until the server answers on both protocols again."""
    since = len(world.log())
    eventually(lambda: served_by(world, since) >= addresses(server))


def wait_for_quiet(world: World, server: set[str], results: list[str]) -> None:
    """Wait until the server got none of the last 30 requests."""

    def quiet() -> bool:
        since = len(world.log())
        wait_for_more(results, 30)
        return not served_by(world, since) & server

    eventually(quiet)


def test_without_any_server_the_gateway_says_so_and_recovers(pair, astronaut):
    world, services = pair
    for service in services:
        service.server.kill()
    with world.client("http") as client:
        for _ in range(3):
            with pytest.raises(AurumError) as caught:
                client.detect(astronaut)
            assert caught.value.code == "unavailable"
            assert caught.value.retryable
        services[0].server.stop()
        start(services[0].server)
        # At once, or after the 2 s for which a failed server is left out.
        eventually(lambda: failure(client, astronaut) is None, seconds=10)


def test_a_name_that_gets_more_addresses_is_followed(best, simulated, astronaut, monkeypatch):
    """The resolver is ours, as there is no name server here; nginx and both servers are real."""
    found = [best]

    def servers(*_: object) -> render.Addresses:
        ports = [(item.settings.http_port, item.settings.grpc_port) for item in found]
        return [(f"127.0.0.1:{http}", f"127.0.0.1:{grpc}") for http, grpc in ports]

    monkeypatch.setattr(render, "servers", servers)
    stop = threading.Event()
    with (
        gateway_for(best) as world,
        world.client("http") as client,
        ThreadPoolExecutor(1) as pool,
    ):
        settings = world.gateway.settings
        following = pool.submit(
            run.follow,
            settings,
            lambda: stop.wait(0.1),
            threading.Event(),
            render.Lookup(run.warn),
            servers(),
        )
        try:
            client.detect(astronaut)
            found.append(simulated)
            address = f"127.0.0.1:{simulated.settings.http_port}"

            def reached() -> bool:
                client.detect(astronaut)
                return address in served_by(world, 0)

            eventually(reached)
        finally:
            stop.set()
        following.result()


def test_aurum_gateway_up_serves_reloads_and_stops(best, astronaut, tmp_path):
    with gateway_for(best) as world:
        made = world.gateway.settings
    (log := Path(made.gateway_log)).parent.mkdir(mode=0o755)
    certificate(log.parent)
    key = keys.add(made.gateway_keys, "test")
    environment = {**os.environ, **made.to_env()}
    command = [sys.executable, "-m", "aurum.gateway"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    world = replace(world, ca=log.parent / "ca.crt", key=key)
    try:
        with world.client("grpc", retries=8) as client:
            client.detect(astronaut)
        for signal_number in (signal.SIGHUP, signal.SIGTERM):
            process.send_signal(signal_number)
        assert process.wait(timeout=60) == 0
        assert b"emerg" not in process.stderr.read()
        with pytest.raises(GatewayError, match="no gateway is running"):
            run.reload(made)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(log.parent)


def test_a_gateway_starts_before_its_servers_and_finds_them(simulated, astronaut, monkeypatch):
    """A name that leads nowhere yet answers 503 instead of ending the start; IPv6 too."""
    real, known = render.addresses, []

    def addresses(host: str) -> list[str]:
        return real(known[0] if host == "triton.test" and known else host)

    monkeypatch.setattr(render, "addresses", addresses)
    complaints: list[str] = []
    lookup, stop = render.Lookup(complaints.append), threading.Event()
    with gateway_for(simulated) as world, ThreadPoolExecutor(1) as pool:
        ports = f"{simulated.settings.http_port}:{simulated.settings.grpc_port}"
        settings = replace(world.gateway.settings, gateway_servers=f"triton.test:{ports}")
        assert render.servers(settings, lookup) == []
        run.reload(settings, [])
        with world.http() as http, world.client("grpc") as client:
            eventually(lambda: http.get("/v2/health/ready").status_code == 503)
            assert "[unavailable]" in http.get("/v2/health/ready").json()["error"]
            assert http.get("/gateway/live").status_code == 200
            with pytest.raises(UnavailableError):
                client.detect(astronaut)
            following = pool.submit(
                run.follow, settings, lambda: stop.wait(0.1), threading.Event(), lookup, []
            )
            try:
                known.append("127.0.0.1")
                eventually(lambda: http.get("/v2/health/ready").status_code == 200)
            finally:
                stop.set()
            following.result()
    assert len(complaints) == 1, "once, not at each look-up"
    known[:] = ["::1"]
    assert lookup("triton.test") == ["[::1]"]
    known[:] = ["nowhere.invalid"]
    assert lookup("triton.test") == ["[::1]"], "what it was, as long as there is nothing new"
