"""``python -m benchmarks.scaleout``: the edge, a second server behind it, one killed under load.

Writes `scaleout.csv` and `pixels.csv`, which the capacity sheet is computed from. Servers, edge and
load share this machine, so that a second server can't answer more photos than it has cores for.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import cv2

from aurum.edge import private as edges
from aurum.models.prove import PHOTO
from aurum.server import private as servers
from aurum.server.private import Service
from aurum.settings import Settings
from benchmarks import names, processes, wrk
from benchmarks.load import Load
from benchmarks.rows import Run, Table

PATH = "/v2/models/analyze_faces/infer"
CLIENTS = (1, 8)
SIDES = (512, 1024, 2048, 4096)  # pixels of the square photos
KILLED_AFTER = 3.0  # seconds


def measure(out: Path, rounds: int, seconds: int, settings: Settings) -> None:
    """Write both files into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    # Far more than can come: what is measured is not the limit.
    limits = replace(settings, edge_rate=100_000, edge_burst=100_000, edge_connections=1000)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aurum-")))
        pair = [
            stack.enter_context(servers.running(settings, folder / name)) for name in ("a", "b")
        ]
        behind = [service.settings for service in pair]
        one = stack.enter_context(edges.running(behind[:1], limits))
        two = stack.enter_context(edges.running(behind, limits))
        _pixels(Table(out / "pixels.csv", Run), pair[0], rounds, seconds)
        _throughput(Table(out / "scaleout.csv", Run), pair, one, two, rounds, seconds)


def _throughput(
    table: Table[Run],
    pair: list[Service],
    one: edges.Running,
    two: edges.Running,
    rounds: int,
    seconds: int,
) -> None:
    """Without the edge, with it, with it and two servers; at last with one of them killed."""
    body = wrk.Body(PHOTO.read_bytes())
    first = pair[0].urls[0] + PATH
    pids = [service.server.pid for service in pair]

    def through(made: edges.Running, clients: int, time: int = seconds) -> Callable[[], Load]:
        headers = {"Authorization": f"Bearer {made.key}"}
        return lambda: wrk.post(made.edge.url + PATH, body, clients, time, headers)

    steps: list[tuple[str, int, Callable[[], Load], list[int]]] = []
    for clients in CLIENTS:
        direct = _direct(first, body, clients, seconds)
        steps += [
            (names.WITHOUT_EDGE, clients, direct, pids[:1]),
            (names.EDGE_ONE, clients, through(one, clients), [one.edge.pid]),
            (names.EDGE_TWO, clients, through(two, clients), [two.edge.pid]),
        ]
    through(two, max(CLIENTS))()  # warm
    for index in range(rounds):
        for what, clients, load, watched in steps if index % 2 == 0 else steps[::-1]:
            result, cpu = _with_cpu(load, watched)
            table.add(Run.of(index, what, clients, result, cpu_ms=cpu))
    killer = threading.Timer(KILLED_AFTER, pair[1].server.kill)
    killer.start()
    result = through(two, max(CLIENTS), max(seconds, 2 * int(KILLED_AFTER)))()
    killer.join()
    table.add(Run.of(0, names.EDGE_KILLED, max(CLIENTS), result))


def _pixels(table: Table[Run], service: Service, rounds: int, seconds: int) -> None:
    """The same photo in several sizes, with the CPU time of each; a row's size is in pixels."""
    image = cv2.imread(str(PHOTO), cv2.IMREAD_COLOR)
    for index in range(rounds):
        for side in SIDES if index % 2 == 0 else SIDES[::-1]:
            larger = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
            data = cv2.imencode(".jpg", larger, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
            load = _direct(service.urls[0] + PATH, wrk.Body(data), 1, seconds)
            result, cpu = _with_cpu(load, [service.server.pid])
            table.add(Run.of(index, names.PHOTO, 1, result, size=side * side, cpu_ms=cpu))


def _direct(url: str, body: wrk.Body, clients: int, seconds: int) -> Callable[[], Load]:
    return lambda: wrk.post(url, body, clients, seconds)


def _with_cpu(load: Callable[[], Load], pids: list[int]) -> tuple[Load, float]:
    """What `load` gives, and the CPU time a request of these processes' trees, in ms."""
    before = sum(processes.cpu_seconds(pid) for pid in pids)
    result = load()
    spent = sum(processes.cpu_seconds(pid) for pid in pids) - before
    return result, spent * 1000 / max(result.requests, 1)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the CSV files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each step")
    given = parser.parse_args()
    measure(given.out, given.rounds, given.seconds, Settings.from_env())


if __name__ == "__main__":
    main()
