"""``python -m benchmarks against URL``: measure another HTTP service beside ours.

You start the other one; ours is started here, with the profile of `--profile`. Both get the same
photo over the same connections by wrk, in turn. Before, each answers it once, and the numbers of
faces are printed, since a service that finds none has less to do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import cv2
import msgpack
from aurum_client import FaceClient

from aurum.errors import OperatorError
from aurum.evaluation.photos import jpeg
from aurum.imaging.decoding.decode import decode
from aurum.paths import PHOTO
from aurum.server import ephemeral
from aurum.settings import Settings
from benchmarks.common import processes
from benchmarks.load import wrk
from benchmarks.load.outcome import Load

SIDE = 640  # pixels of the default photo: the detector's default input
ALLOWED = 30  # seconds for the first answer, which may load a model


class OtherServiceError(OperatorError, RuntimeError):
    """The other service did not answer the photo as its adapter expects."""


@dataclass(frozen=True)
class Adapter:
    """How a photo is put into a request, and its faces are counted in the answer."""

    media_type: str
    body: Callable[[bytes], bytes]
    count: Callable[[bytes], int]


def _extract(photo: bytes) -> bytes:
    """The body of InsightFace-REST's /extract in msgpack, its fastest way in and out."""
    return bytes(
        msgpack.packb(
            {
                "images": {"data": [photo]},
                "extract_embedding": True,
                "return_landmarks": True,
                "msgpack": True,
            }
        )
    )


def _extracted(answer: bytes) -> int:
    (image,) = msgpack.unpackb(answer)["data"]
    if image["status"] != "ok":
        raise OtherServiceError(f"it answered {image}")
    return len(image["faces"])


ADAPTERS: Mapping[str, Adapter] = {
    "insightface-rest": Adapter("application/msgpack", _extract, _extracted),
    # The photo is the body, and the answer is JSON with a list `boxes` (benchmarks/baselines).
    "raw": Adapter(
        "application/octet-stream", bytes, lambda answer: len(json.loads(answer)["boxes"])
    ),
}


@dataclass(frozen=True)
class Target:
    """A service under load: its address, the request, and its process, if known."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    pid: int | None
    loads: dict[int, list[tuple[Load, float]]] = field(default_factory=dict)  # by clients

    def measure(self, clients: int, seconds: int) -> None:
        """Add a load, and the CPU time of a photo in ms."""
        ask = partial(
            wrk.post, self.url, wrk.Body(self.body), clients, seconds, headers=self.headers
        )
        self.loads.setdefault(clients, []).append(processes.with_cpu(self.pid, ask))


def first_answer(target: Target) -> bytes:
    """Send the request once. Raises OtherServiceError where it isn't answered with 200."""
    try:
        request = urllib.request.Request(  # noqa: S310
            target.url, target.body, dict(target.headers)
        )
        with urllib.request.urlopen(request, timeout=ALLOWED) as answer:  # noqa: S310
            return bytes(answer.read())
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise OtherServiceError(f"{target.url}: {error}") from error


def count_faces(adapter: Adapter, target: Target) -> int:
    """The number of faces in the other service's answer. Raises OtherServiceError."""
    answer = first_answer(target)
    try:
        return adapter.count(answer)
    except (KeyError, TypeError, ValueError, msgpack.exceptions.UnpackException) as error:
        raise OtherServiceError(
            f"{target.url}: not the adapter's answer ({error!r}): {answer[:80]!r}"
        ) from error


def report(ours: Target, other: Target) -> Iterator[str]:
    """Yield a Markdown table: medians, and each round's ratio."""
    yield "| clients | | photos/s | p50, ms | p95, ms | CPU a photo, ms | failures |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for clients, own in ours.loads.items():
        theirs = other.loads[clients]
        for name, runs in (("ours", own), ("the other", theirs)):
            rate, p50, p95, cpu = (
                statistics.median(values)
                for values in zip(
                    *((load.rate, load.p50, load.p95, cpu) for load, cpu in runs), strict=True
                )
            )
            failures = sum(load.failures for load, _ in runs)
            yield (
                f"| {clients} | {name} | {rate:.1f} | {p50:.1f} | {p95:.1f} | {cpu:.1f} "
                f"| {failures} |"
            )
        ratios = [a.rate / b.rate for (a, _), (b, _) in zip(own, theirs, strict=True)]
        spread = f"{min(ratios):.2f}..{max(ratios):.2f}"
        yield f"| {clients} | **ratio** | {statistics.median(ratios):.2f} ({spread}) | | | | |"


def compare(
    given: argparse.Namespace, settings: Settings, folder: Path, photo: bytes
) -> tuple[Target, Target]:
    """Measure both services in turn."""
    adapter = ADAPTERS[given.adapter]
    header = {"Content-Type": adapter.media_type}
    other = Target(given.url, adapter.body(photo), header, given.pid)
    theirs = count_faces(adapter, other)
    with ephemeral.running(settings, folder) as service:
        with FaceClient(service.urls[0]) as client:
            found = len(client.analyze(photo))
        print(f"faces found: ours {found}, the other {theirs}", file=sys.stderr)
        url = f"{service.urls[0]}/v2/models/analyze_faces/infer"
        ours = Target(url, photo, {}, service.server.pid)
        for index in range(given.rounds):
            for clients in given.clients:
                print(f"round {index + 1} of {given.rounds}: {clients} clients", file=sys.stderr)
                for target in (ours, other) if index % 2 == 0 else (other, ours):
                    target.measure(clients, given.seconds)
    return ours, other


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="where the other service takes photos")
    parser.add_argument("--adapter", choices=ADAPTERS, default="insightface-rest")
    parser.add_argument("--pid", type=int, help="the other service's process, for its CPU time")
    parser.add_argument("--profile", default="", help="of ours (default: AURUM_PROFILE)")
    parser.add_argument("--photo", type=Path, help=f"default: one face, {SIDE}x{SIDE}")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args(words)


def default_photo() -> bytes:
    """One face in the detector's default size, as a JPEG."""
    photo = decode(PHOTO.read_bytes(), 1 << 31, 1 << 31)
    return jpeg(cv2.resize(photo, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), 90)


def main() -> None:
    """Measure and print a Markdown table."""
    given = arguments()
    settings = Settings.from_env()
    settings = replace(settings, profile=given.profile or settings.profile)
    try:
        photo = given.photo.read_bytes() if given.photo else default_photo()
    except OSError as error:
        raise OtherServiceError(f"--photo: {error}") from error
    with tempfile.TemporaryDirectory() as folder:
        print("\n".join(report(*compare(given, settings, Path(folder), photo))))
