"""``python -m benchmarks looks``: measure what the detector's passes ("looks") cost.

In interleaved rounds, by kind of photo and by parameters: CPU time of `analyze_faces` and
`detect_faces`, and latency at one client. Then the server's memory while eight clients request the
largest detection size. `--other HTTP_ADDRESS PID` also measures the server of another version.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from aurum_client import FaceClient
from numpy.typing import NDArray

from aurum.evaluation.photos import HEAD, jpeg
from aurum.imaging.decoding.decode import decode
from aurum.paths import PHOTO
from aurum.server import ephemeral
from aurum.settings import Settings
from benchmarks.common import processes
from benchmarks.load import wrk

ONCE = {"orientation": "exif", "refine": False}
# Parameters by name; the others are compared with the first.
WAYS: Mapping[str, Mapping[str, object]] = {
    "looked at once": ONCE,
    "and at each face again": {"orientation": "exif", "refine": True},
    "and turned (the default)": {"orientation": "auto"},
}
OTHER = "the other version"
EVERY = {"max_faces": 0}  # known to every version, since sending a parameter itself costs time
QUALITY = 90  # of the JPEGs
PERIOD = 0.1  # seconds between two memory samples
LARGEST = 8  # clients that request the largest detection size


class Row(NamedTuple):
    """Figures of one photo with one set of parameters, over all rounds."""

    cpu: list[float]  # ms per photo
    p50: list[float]  # ms


def photos() -> dict[str, bytes]:
    """Generate encoded photos, by description."""
    selfie = PHOTO.read_bytes()
    pixels = decode(selfie, 1 << 31, 1 << 31)
    face = pixels[HEAD]
    phone = cv2.resize(pixels, (3464, 3464), interpolation=cv2.INTER_CUBIC)
    crowd = np.tile(cv2.resize(face, (80, 80), interpolation=cv2.INTER_AREA), (16, 16, 1))
    return {
        "512x512, one face": selfie,
        "12 megapixels, one face": jpeg(phone, QUALITY),
        "512x512, no face": jpeg(_empty(512), QUALITY),
        "12 megapixels, no face": jpeg(_empty(3464), QUALITY),
        "512x512, turned by 90 degrees": jpeg(np.rot90(pixels), QUALITY),
        "1280x1280, 256 faces": jpeg(crowd, QUALITY),
    }


def _empty(side: int) -> NDArray[np.uint8]:
    """Generate a picture of clouds."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    return np.asarray(cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def measure(
    servers: Mapping[str, tuple[str, int]], pipeline: str, photo: str, rounds: int, seconds: int
) -> dict[str, dict[str, Row]]:
    """Return rows by photo and parameters; `servers`: address and process id of "" and OTHER."""
    found: dict[str, dict[str, Row]] = {}
    chosen = {name: data for name, data in photos().items() if name.startswith(photo)}
    for name, data in chosen.items():
        image = {"image": np.array([data], np.object_)}
        ways = {way: (servers[""], wrk.body(image, parameters)) for way, parameters in WAYS.items()}
        if OTHER in servers:
            ways[OTHER] = (servers[OTHER], wrk.body(image, EVERY))
        rows = found[name] = {way: Row([], []) for way in ways}
        for _ in range(rounds):
            for way, ((address, pid), body) in ways.items():
                url = f"{address}/v2/models/{pipeline}/infer"
                ask = partial(wrk.post, url, body, 1, seconds)
                load, cpu = processes.with_cpu(pid, ask)
                rows[way].cpu.append(cpu)
                rows[way].p50.append(load.p50)
    return found


def memory(url: str, pid: int, calls: int) -> dict[str, float]:
    """Return MB before, at most during, and after `calls` requests of the largest size."""
    photo = photos()["12 megapixels, one face"]
    before = processes.memory(pid)
    with FaceClient(url, timeout=300) as client, processes.sampled(pid, period=PERIOD) as samples:
        size = Settings.from_env().max_detection_size
        with ThreadPoolExecutor(LARGEST) as pool:
            list(pool.map(lambda _: client.analyze(photo, detection_size=size), range(calls)))
    return {"before": before, "most": max(samples), "after": processes.memory(pid)}


def report(found: Mapping[str, Mapping[str, Row]]) -> Iterator[str]:
    """Yield a Markdown table: medians, and each round's ratios to ONCE."""
    yield "| photo | way | CPU, ms | of looking once | p50, ms | of looking once |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, rows in found.items():
        base = rows[next(iter(WAYS))]
        for way, row in rows.items():
            ratios = (
                f"{statistics.median(values):.2f} ({min(values):.2f}..{max(values):.2f})"
                for values in (
                    [a / b for a, b in zip(row.cpu, base.cpu, strict=True)],
                    [a / b for a, b in zip(row.p50, base.p50, strict=True)],
                )
            )
            cpu, p50 = (statistics.median(values) for values in row)
            of_cpu, of_p50 = ratios
            yield f"| {name} | {way} | {cpu:.2f} | {of_cpu} | {p50:.2f} | {of_p50} |"


def main() -> None:
    """Measure and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=32, help="requests of the largest size")
    parser.add_argument("--pipelines", nargs="+", default=["analyze_faces", "detect_faces"])
    parser.add_argument("--photo", default="", help="only photos whose names begin with this")
    parser.add_argument("--other", nargs=2, metavar=("HTTP_ADDRESS", "PID"))
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        ephemeral.running(Settings.from_env(), Path(folder)) as service,
    ):
        pid = service.server.pid
        servers = {"": (service.urls[0], pid)}
        if given.other:
            servers[OTHER] = (given.other[0], int(given.other[1]))
        for pipeline in given.pipelines:
            print(f"\n### {pipeline}\n")
            found = measure(servers, pipeline, given.photo, given.rounds, given.seconds)
            print("\n".join(report(found)))
        print(json.dumps({"MB at the largest size": memory(service.urls[1], pid, given.calls)}))
