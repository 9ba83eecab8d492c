"""``python -m benchmarks freezes``: freeze supervised servers, like a suspended machine does.

Processes get SIGSTOP, and SIGCONT some seconds later: all of `aurum up`, or tritonserver alone,
under load, and tritonserver during its start. Writes `freezes.csv`: whether a process died and the
server was restarted, and how the requests of retrying clients ended (docs/design/failures.md).
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import psutil

from aurum.server.ephemeral import prepare_repositories
from aurum.settings import Settings
from benchmarks.common.processes import server_of
from benchmarks.common.rows import Freeze, Table, read
from benchmarks.robustness.failures import Clients, launched, part, wait_for_answers

KINDS = (("all", "under load"), ("tritonserver", "under load"), ("tritonserver", "at its start"))
BEFORE, AFTER = 2.0, 5.0  # seconds of load before and after a freeze
START = 2.0  # seconds of the start over which freezes are distributed
DEATH = ("ended (", "died", "hangs")  # words in lines that say why a server is restarted


def _first_server(up: int) -> psutil.Process:
    while not (server := server_of(up)):
        time.sleep(0.01)
    return server


@contextmanager
def _stopped(up: int, server: psutil.Process, what: str) -> Iterator[None]:
    root = psutil.Process(up)
    processes = [root, *root.children(recursive=True)] if what == "all" else [server]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in reversed(processes):
            if process.is_running():
                process.resume()


def _freeze(
    index: int,
    kind: tuple[str, str],
    share: float,
    settings: Settings,
    seconds: float,
    log: IO[str],
) -> Freeze:
    what, when = kind
    with launched(settings, log.fileno()) as up:
        server = _first_server(up)
        if when == "under load":
            wait_for_answers(up, settings)
        with Clients(settings) as clients:
            time.sleep(BEFORE if when == "under load" else share * START)
            with _stopped(up, server, what):
                time.sleep(seconds)
            wait_for_answers(up, settings)
            time.sleep(AFTER)
        restarted = part(up, "tritonserver").pid != server.pid
    longest = max(clients.seconds, default=math.inf) - seconds
    asked = len(clients.seconds) + len(clients.errors)
    log.seek(0)
    said = "; ".join(line.strip() for line in log if any(word in line for word in DEATH))
    return Freeze(index, what, when, restarted, longest, asked, len(clients.errors), said)


def measure(out: Path, count: int, seconds: float, settings: Settings) -> None:
    """Write the file to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="aurum-") as folder:
        settings, prepared = prepare_repositories(settings, Path(folder) / "repositories")
        settings = replace(settings, profile=prepared.profile.name, playground=False)
        table = Table(out / "freezes.csv", Freeze)
        for index in range(count):
            # A new server for each, since a server gives up after five deaths in a row.
            for kind in KINDS:
                with tempfile.TemporaryFile("w+") as log:
                    row = _freeze(index, kind, index / count, settings, seconds, log)
                table.add(row)
                print(row, flush=True)


def summary(rows: list[Freeze]) -> str:
    """Return the Markdown table of docs/design/failures.md."""
    lines = ["| frozen | freezes | restarted | longest wait, s | requests | failed |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for kind in KINDS:
        of = [row for row in rows if (row.frozen, row.when) == kind]
        if of:
            lines.append(
                f"| {' '.join(kind)} | {len(of)} | {sum(row.restarted for row in of)} "
                f"| {max(row.longest_s for row in of):.1f} "
                f"| {sum(row.requests for row in of)} | {sum(row.failed for row in of)} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the file")
    parser.add_argument("--count", type=int, default=14, help="freezes of each kind")
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="duration of a freeze, less than a hang"
    )
    given = parser.parse_args()
    measure(given.out, given.count, given.seconds, Settings.from_env())
    print(summary(read(given.out / "freezes.csv", Freeze)))


if __name__ == "__main__":
    main()
