"""The service against the floor and the peer, interleaved in one run.

    .venv/bin/python -m benchmarks.compare --out results

Machines are noisy, so every round measures everything once, and the report gives medians of the
rounds' ratios with their spread.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import socket
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from aurum.models import build
from aurum.models.prove import PHOTO
from aurum.server.server import Server
from aurum.settings import Settings
from benchmarks import floor, peer, wrk


@dataclass(frozen=True)
class Row:
    """One figure of one round."""

    round: int
    what: str
    clients: int
    rate: float  # photos a second
    p50: float  # milliseconds; 0 for the floor, which has no requests
    p95: float
    failures: int


def measure(
    settings: Settings, photo: Path, rounds: int, seconds: float, clients: Sequence[int]
) -> list[Row]:
    """Run all rounds; everything is measured for `seconds` in each."""
    prepared = build.prepare(settings)
    build.install(prepared, settings.repositories / "model_repository")
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(settings) as server,
        peer.running(settings, _free_port()) as peer_url,
        Progress(console=Console(stderr=True)) as bar,
    ):
        server.wait_ready()
        urls = {
            "service": f"{settings.http_url}/v2/models/analyze_faces/infer",
            "peer": peer_url,
        }
        for url in urls.values():
            wrk.post(url, photo, max(clients), 1, Path(folder))
        task = bar.add_task("measuring", total=rounds * (1 + len(urls) * len(clients)))
        for index in range(rounds):
            rate = floor.photos_per_second(prepared.graphs, settings, photo.read_bytes(), seconds)
            rows.append(Row(index, "floor", 0, rate, 0, 0, 0))
            bar.advance(task)
            for count in clients:
                for what, url in urls.items():
                    load = wrk.post(url, photo, count, seconds, Path(folder))
                    rows.append(
                        Row(index, what, count, load.rate, load.p50, load.p95, load.failures)
                    )
                    bar.advance(task)
    return rows


def report(rows: Sequence[Row], photo: Path, seconds: float) -> str:
    """A Markdown table of medians, and the ratios that matter with their spread."""
    rounds = 1 + max(row.round for row in rows)
    lines = [
        f"{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"Python {platform.python_version()}; {photo.name}, {rounds} rounds of {seconds:g} s.",
        "",
        "| what | clients | photos/s | p50 ms | p95 ms | failures |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for what, clients in dict.fromkeys((row.what, row.clients) for row in rows):
        own = [row for row in rows if (row.what, row.clients) == (what, clients)]
        rate, p50, p95 = (
            statistics.median(getattr(row, name) for row in own) for name in ("rate", "p50", "p95")
        )
        failures = sum(row.failures for row in own)
        times = f"{p50:.1f} | {p95:.1f}" if clients else "- | -"
        lines.append(f"| {what} | {clients or '-'} | {rate:.1f} | {times} | {failures} |")
    lines += [
        "",
        "| ratio, of the same round | median | least | most |",
        "| --- | --- | --- | --- |",
    ]
    most = max(row.clients for row in rows)
    for name, top, bottom, field in (
        (f"throughput at {most} clients, service / floor", most, 0, "rate"),
        (f"throughput at {most} clients, service / peer", most, most, "rate"),
        ("p50 at 1 client, service / peer", 1, 1, "p50"),
    ):
        other = "floor" if bottom == 0 else "peer"
        ratios = [
            getattr(_find(rows, index, "service", top), field)
            / getattr(_find(rows, index, other, bottom), field)
            for index in range(rounds)
        ]
        lines.append(
            f"| {name} | {statistics.median(ratios):.2f} | {min(ratios):.2f} | {max(ratios):.2f} |"
        )
    return "\n".join(lines) + "\n"


def _find(rows: Sequence[Row], index: int, what: str, clients: int) -> Row:
    return next(row for row in rows if (row.round, row.what, row.clients) == (index, what, clients))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Measure, print the report, and keep it beside the raw figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--photo", type=Path, default=PHOTO)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    arguments = parser.parse_args()
    settings = replace(
        Settings.from_env(),
        http_port=_free_port(),
        grpc_port=_free_port(),
        metrics_port=_free_port(),
    )
    rows = measure(settings, arguments.photo, arguments.rounds, arguments.seconds, (1, 8, 16))
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (arguments.out / "rounds.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Row.__dataclass_fields__)
        writer.writerows([getattr(row, name) for name in Row.__dataclass_fields__] for row in rows)
    text = report(rows, arguments.photo, arguments.seconds)
    (arguments.out / "report.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
