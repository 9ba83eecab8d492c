"""``python -m benchmarks failures``: kill each process of a supervised server under load.

Writes `failures.csv` and `machine.json`: how long the server took to answer again, and how the
requests of retrying clients ended (docs/design/failures.md).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
from aurum_client import AurumError, FaceClient

from aurum.contract import STEP
from aurum.paths import PHOTO
from aurum.server.ephemeral import prepare_repositories
from aurum.settings import Settings
from benchmarks.common import machine, processes
from benchmarks.common.rows import Failure, Table, read
from benchmarks.performance.bench import alternating

PARTS = (STEP, "tritonserver")
# Enough to survive a restart: the waits between that many retries add up to 20 s on average.
RETRIES, TIMEOUT = 25, 60.0
CALLS = (("grpc", "analyze"), ("http", "analyze"), ("grpc", "embed"), ("http", "detect"))
BEFORE, AFTER = 2.0, 1.0  # seconds of load before the kill, and after the recovery
PATIENCE = 120.0  # seconds for a start


class Clients:
    """Four clients that send requests without pause, over both protocols, and record results."""

    def __init__(self, settings: Settings, retries: int = RETRIES) -> None:
        self.seconds: list[float] = []  # duration of each answered request
        self.errors: list[AurumError] = []
        self._stop = threading.Event()
        urls = {"http": settings.http_url, "grpc": settings.grpc_url}
        self._threads = [
            threading.Thread(target=self._ask, args=(urls[protocol], call, retries))
            for protocol, call in CALLS
        ]

    def _ask(self, url: str, call: str, retries: int) -> None:
        photo = PHOTO.read_bytes()
        with FaceClient(url, timeout=TIMEOUT, retries=retries) as client:
            while not self._stop.is_set():
                start = time.perf_counter()
                try:
                    getattr(client, call)(photo)
                    self.seconds.append(time.perf_counter() - start)
                except AurumError as error:
                    self.errors.append(error)

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def part(up: int, name: str) -> psutil.Process:
    """Return the tritonserver process of `aurum up`, or a Python stub of the step."""
    (server,) = psutil.Process(up).children()
    if name == "tritonserver":
        return server
    return next(child for child in server.children() if processes.name(child) == name)


def kill(up: int, name: str, settings: Settings) -> float:
    """Kill a process; return the seconds until a new tritonserver answers."""
    old = part(up, "tritonserver").pid
    part(up, name).kill()
    start = time.perf_counter()
    while True:
        children = psutil.Process(up).children()
        if [child.pid for child in children] not in ([], [old]) and _answers(settings):
            return time.perf_counter() - start
        if time.perf_counter() - start > PATIENCE:
            raise TimeoutError(f"no answer {PATIENCE:g} s after killing {name}")
        time.sleep(0.02)


def _answers(settings: Settings) -> bool:
    try:
        with FaceClient(settings.http_url, timeout=5, retries=0) as client:
            client.analyze(PHOTO.read_bytes())
    except AurumError:
        return False
    return True


@contextmanager
def launched(settings: Settings, output: int = subprocess.DEVNULL) -> Iterator[int]:
    """Run `aurum up` with its output to that file descriptor; yield its process id."""
    with subprocess.Popen(
        [Path(sys.executable).with_name("aurum"), "up"],
        env={**os.environ, **settings.to_env()},
        stdout=output,
    ) as process:
        try:
            yield process.pid
        finally:
            process.terminate()


def wait_for_answers(up: int, settings: Settings) -> None:
    """Wait until `aurum up` answers; raise RuntimeError if it ends or takes too long."""
    deadline = time.monotonic() + PATIENCE
    process = psutil.Process(up)
    while not _answers(settings):
        if process.status() == psutil.STATUS_ZOMBIE or time.monotonic() > deadline:
            raise RuntimeError("aurum up does not answer")
        time.sleep(0.1)


@contextmanager
def supervised(settings: Settings) -> Iterator[int]:
    """Run `aurum up` and wait until it answers; yield its process id."""
    with launched(settings) as up:
        wait_for_answers(up, settings)
        yield up


def measure(out: Path, rounds: int, settings: Settings) -> None:
    """Write both files to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    busy = psutil.cpu_percent(5)  # by other programs, before anything of ours runs
    with tempfile.TemporaryDirectory(prefix="aurum-") as folder:
        settings, prepared = prepare_repositories(settings, Path(folder) / "repositories")
        settings = replace(settings, profile=prepared.profile.name, playground=False)
        table = Table(out / "failures.csv", Failure)
        for index, name in alternating(rounds, PARTS):
            with supervised(settings) as up:
                if not index and name == PARTS[0]:
                    facts = machine.facts(prepared.ids, settings.http_url)
                    text = json.dumps({**facts, "busy_before_percent": busy}, indent=2)
                    (out / "machine.json").write_text(text + "\n")
                row = _killed(up, index, name, settings)
            table.add(row)
            print(row, flush=True)


def _killed(up: int, index: int, name: str, settings: Settings) -> Failure:
    with Clients(settings) as clients:
        time.sleep(BEFORE)
        recovery = kill(up, name, settings)
        time.sleep(AFTER)
    requests, failed = len(clients.seconds), len(clients.errors)
    return Failure(
        index, name, recovery, requests + failed, failed, max(clients.seconds, default=0.0)
    )


def summary(rows: list[Failure]) -> str:
    """Return the Markdown table of docs/design/failures.md."""
    lines = ["| killed | recovery, s | slowest request, s | requests | failed |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for name in PARTS:
        of = [row for row in rows if row.killed == name]
        if of:
            times = [row.recovery_s for row in of]
            slowest = [row.slowest_s for row in of]
            lines.append(
                f"| `{name}` | {_spread(times)} | {_spread(slowest)} "
                f"| {sum(row.requests for row in of)} | {sum(row.failed for row in of)} |"
            )
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--rounds", type=int, default=5, help="kills of each process")
    given = parser.parse_args()
    measure(given.out, given.rounds, Settings.from_env())
    print(summary(read(given.out / "failures.csv", Failure)))


if __name__ == "__main__":
    main()
