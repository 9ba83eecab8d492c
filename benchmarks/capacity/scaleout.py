"""``python -m benchmarks scaleout``: measure the gateway, a second server, and a kill under load.

Writes `scaleout.csv`, `pixels.csv` and `machine.json`, from which the capacity sheet is computed.
Servers, gateway and load generator share this machine, so a second server only helps if each server
is pinned to one core.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import psutil

from aurum.paths import PHOTO
from aurum.server import ephemeral as servers
from aurum.server.ephemeral import Service
from aurum.settings import Settings
from benchmarks.common import gateways, machine, names, processes
from benchmarks.common.rows import Run, Table
from benchmarks.load import wrk
from benchmarks.load.outcome import Load
from benchmarks.performance.bench import alternating

PATH = "/v2/models/analyze_faces/infer"
CLIENTS = (1, 8)
SIDES = (512, 1024, 2048, 4096)  # pixels of the square photos
KILLED_AFTER = 3.0  # seconds
OBSERVED = 5.0  # seconds of measuring the load of other programs


def measure(out: Path, rounds: int, seconds: int, settings: Settings) -> None:
    """Write all files to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    busy = psutil.cpu_percent(OBSERVED)  # by other programs, before anything of ours runs
    limits = gateways.unlimited(settings)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aurum-")))

        def serve(name: str, core: int | None = None) -> Service:
            with _pinned(core):
                return stack.enter_context(servers.running(settings, folder / name))

        def gateway_before(services: list[Service]) -> gateways.Running:
            behind = [service.settings for service in services]
            return stack.enter_context(gateways.running(behind, limits))

        pair = [serve("a"), serve("b")]
        pinned = [serve(f"core-{core}", core) for core in sorted(os.sched_getaffinity(0))[:2]]
        made = {
            names.GATEWAY_ONE: gateway_before(pair[:1]),
            names.GATEWAY_TWO: gateway_before(pair),
            names.GATEWAY_ONE_PINNED: gateway_before(pinned[:1]),
            names.GATEWAY_TWO_PINNED: gateway_before(pinned),
        }
        facts = machine.facts(pair[0].prepared.ids, pair[0].urls[0])
        text = json.dumps({**facts, "busy_before_percent": busy}, indent=2)
        (out / "machine.json").write_text(text + "\n")
        _pixels(Table(out / "pixels.csv", Run), pair[0], rounds, seconds)
        _throughput(Table(out / "scaleout.csv", Run), pair, made, rounds, seconds)


def _throughput(
    table: Table[Run],
    pair: list[Service],
    made: dict[str, gateways.Running],
    rounds: int,
    seconds: int,
) -> None:
    """Measure without a gateway, through each of `made`, and with one of two servers killed.

    CPU time is the gateway's, or the server's if there is no gateway.
    """
    body = wrk.Body(PHOTO.read_bytes())

    def through(name: str, clients: int, time: int = seconds) -> Callable[[], Load]:
        gateway, headers = made[name].gateway, {"Authorization": f"Bearer {made[name].key}"}
        return lambda: wrk.post(gateway.url + PATH, body, clients, time, headers)

    steps: list[tuple[str, int, Callable[[], Load], int]] = []
    for clients in CLIENTS:
        direct = _direct(pair[0].urls[0] + PATH, body, clients, seconds)
        steps.append((names.WITHOUT_GATEWAY, clients, direct, pair[0].server.pid))
        for name, gateway in made.items():
            steps.append((name, clients, through(name, clients), gateway.gateway.pid))
    for name in made:
        through(name, max(CLIENTS), 1)()  # warm
    for index, (what, clients, load, watched) in alternating(rounds, steps):
        result, cpu = processes.with_cpu(watched, load)
        table.add(Run.of(index, what, clients, result, cpu_ms=cpu))
    killer = threading.Timer(KILLED_AFTER, pair[1].server.kill)
    killer.start()
    result = through(names.GATEWAY_TWO, max(CLIENTS), max(seconds, 2 * int(KILLED_AFTER)))()
    killer.join()
    table.add(Run.of(0, names.GATEWAY_KILLED, max(CLIENTS), result))


def _pixels(table: Table[Run], service: Service, rounds: int, seconds: int) -> None:
    """Measure the same photo in several sizes with CPU time; a row's size is in pixels."""
    image = cv2.imread(str(PHOTO), cv2.IMREAD_COLOR)
    for index, side in alternating(rounds, SIDES):
        larger = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
        data = cv2.imencode(".jpg", larger, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        load = _direct(service.urls[0] + PATH, wrk.Body(data), 1, seconds)
        result, cpu = processes.with_cpu(service.server.pid, load)
        table.add(Run.of(index, names.PHOTO, 1, result, size=side * side, cpu_ms=cpu))


def _direct(url: str, body: wrk.Body, clients: int, seconds: int) -> Callable[[], Load]:
    return lambda: wrk.post(url, body, clients, seconds)


@contextmanager
def _pinned(core: int | None) -> Iterator[None]:
    """Pin processes started within the context to this core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="seconds per step")
    given = parser.parse_args()
    measure(given.out, given.rounds, given.seconds, Settings.from_env())
