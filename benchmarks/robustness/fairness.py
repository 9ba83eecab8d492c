"""``python -m benchmarks fairness``: measure how heavy photos of one key delay another's selfies.

They go through the gateway to the real service. The figures of docs/design/untrusted-input.md come
from this command.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from aurum.errors import OperatorError
from aurum.settings import Settings
from benchmarks.robustness.hostile import bases
from benchmarks.robustness.hostile.requests import Call
from benchmarks.robustness.hostile.send import Address, Sender
from benchmarks.robustness.hostile.served import served

RAW = {"Inference-Header-Content-Length": "0"}


@dataclass(frozen=True)
class Wait:
    """The wait of one selfie."""

    seconds: float
    overtaken: int  # heavy photos that were answered while it waited


def heavy(side: int) -> bytes:
    """Create a small PNG that is slow to decode: `side` x `side` pixels of 8 bytes, in squares."""
    noise = np.random.default_rng(1).integers(0, 65_535, (64, 64, 4), np.uint16)
    photo = cv2.resize(noise, (side, side), interpolation=cv2.INTER_NEAREST)
    return cv2.imencode(".png", photo)[1].tobytes()


def seconds(address: Address, pipeline: str, photo: bytes) -> float:
    """Return how long one photo takes alone."""
    sender = Sender(address)
    try:
        return _ask(sender, pipeline, photo)
    finally:
        sender.close()


def selfies(
    busy: Address,
    other: Address,
    photo: bytes,
    at_once: int,
    count: int,
    pipeline: str = "analyze_faces",
) -> list[Wait]:
    """Send `count` selfies with the key of `other`, one after the other.

    Meanwhile `busy` keeps `at_once` heavy photos in flight, through the same pipeline.
    """
    sender, selfie = Sender(other), bases.jpegs()[0]
    waits: list[Wait] = []
    try:
        with _sending(busy, pipeline, photo, at_once) as answered:
            while len(waits) < count:
                before = len(answered)
                taken = _ask(sender, pipeline, selfie)
                waits.append(Wait(taken, len(answered) - before))
    finally:
        sender.close()
    return waits


@contextmanager
def _sending(address: Address, pipeline: str, photo: bytes, at_once: int) -> Iterator[list[float]]:
    """Run `at_once` clients that send until the context ends; yield the durations of answers.

    The context starts when all have a request in flight.
    """
    answered: list[float] = []
    stop = threading.Event()

    def send() -> None:
        sender = Sender(address)
        try:
            while not stop.is_set():
                answered.append(_ask(sender, pipeline, photo))
        finally:
            sender.close()

    with ThreadPoolExecutor(at_once) as pool:
        clients = [pool.submit(send) for _ in range(at_once)]
        try:
            while len(answered) < 2:  # by then, all others are in flight
                time.sleep(0.05)
            yield answered
        finally:
            stop.set()
        for client in clients:
            client.result()


def _ask(sender: Sender, pipeline: str, photo: bytes) -> float:
    answer = sender.send(Call("http", pipeline, photo, RAW))
    if answer.status != "200" and "[no_face]" not in answer.text:
        raise OperatorError(f"{pipeline}: {answer.status} {answer.text}")
    return answer.seconds


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at-once", type=int, default=31, help="heavy photos in flight, one key")
    parser.add_argument("--side", type=int, default=7000, help="side of a heavy photo, in pixels")
    parser.add_argument("--selfies", type=int, default=40, help="selfies of the other key")
    parser.add_argument("--servers", type=int, default=1, help="tritonservers behind the gateway")
    given = parser.parse_args()
    photo = heavy(given.side)
    with served(Settings.from_env(), given.servers) as service:
        alone = np.median(
            [seconds(service.neighbour, "analyze_faces", bases.jpegs()[0]) for _ in range(20)]
        )
        one = seconds(service.address, "analyze_faces", photo)
        waits = selfies(service.address, service.neighbour, photo, given.at_once, given.selfies)
    taken = np.array([wait.seconds for wait in waits])
    print(f"a heavy photo alone: {one:.2f} s, {len(photo) / 1e6:.1f} MB; a selfie: {alone:.3f} s")
    print(
        f"a selfie beside {given.at_once} of them: median {np.median(taken):.3f} s, "
        f"p95 {np.percentile(taken, 95):.3f} s, at most {taken.max():.3f} s"
    )
    return 0
