"""``python -m benchmarks bulk``: compare the rate of `aurum bulk run` with a bare loop's.

The loop is `AsyncFaceClient.analyze_many` with the same photos and the same concurrency against the
same server, in interleaved rounds. The run's time includes listing the photos and writing the
tables.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from aurum_client import Analysis, AsyncFaceClient

from aurum.batch import find
from aurum.bulk.endpoints import TIMEOUT
from aurum.bulk.run import Job, Tally, run
from aurum.bulk.source import Folder
from aurum.errors import OperatorError
from aurum.paths import PHOTO
from aurum.server import ephemeral
from aurum.settings import Settings

COPIES = 512  # of the example photo, without --photos


class BenchmarkError(OperatorError):
    """A photo failed, so that rates would compare different work."""


class Round(NamedTuple):
    """Photos per second."""

    bare: float
    bulk: float

    @property
    def ratio(self) -> float:
        """The run's rate by the loop's."""
        return self.bulk / self.bare


async def _bare(photos: Sequence[Path], url: str, concurrency: int) -> None:
    async with AsyncFaceClient(url, timeout=TIMEOUT) as client:
        answers = await client.analyze_many(photos, concurrency=concurrency)
    failed = [answer for answer in answers if not isinstance(answer, Analysis)]
    if failed:
        raise BenchmarkError(f"the loop: {len(failed)} photos failed: {failed[0]}")


async def _bulk(folder: Path, count: int, url: str, concurrency: int, out: Path) -> None:
    tally = Tally()
    job = Job(Folder(folder), out, [url], concurrency=concurrency)
    await run(job, tally, lambda _: None, lambda _: None)
    if tally.failed or tally.photos != count:
        raise BenchmarkError(f"the run: {tally.photos} of {count} photos, failed: {tally.failed}")


def measure(folder: Path, url: str, concurrency: int, rounds: int) -> list[Round]:
    """Return the rates of each round, after one that is not counted."""
    photos = find([folder])
    found = []
    for _ in range(rounds + 1):
        with tempfile.TemporaryDirectory(prefix="aurum-") as out:
            start = time.perf_counter()
            asyncio.run(_bare(photos, url, concurrency))
            middle = time.perf_counter()
            asyncio.run(_bulk(folder, len(photos), url, concurrency, Path(out)))
            end = time.perf_counter()
        found.append(Round(len(photos) / (middle - start), len(photos) / (end - middle)))
    return found[1:]


def main() -> None:
    """Measure, and print each round and the median as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help=f"folder; default: {COPIES} of the example")
    parser.add_argument("--url", help="the service; default: start the settings' profile")
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = given.photos
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aurum-")))
            for number in range(COPIES):
                (folder / f"{number}.jpg").symlink_to(PHOTO)
        url = given.url
        if url is None:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aurum-")))
            service = stack.enter_context(ephemeral.running(Settings.from_env(), place))
            url = service.urls[0]
        rounds = measure(folder, url, given.concurrency, given.rounds)
    for one in rounds:
        print(json.dumps({**one._asdict(), "ratio": one.ratio}))
    print(json.dumps({"median ratio": statistics.median(one.ratio for one in rounds)}))
