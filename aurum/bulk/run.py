"""Send all photos of a source to the service, and write parts as they fill."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from aurum_client import Analysis, AurumError

from aurum.batch import concerns_service
from aurum.bulk import BulkError, ServiceDownError, UsageError
from aurum.bulk.endpoints import Endpoints
from aurum.bulk.output import Manifest, Output
from aurum.bulk.photo import Photo, fetch
from aurum.bulk.shards import Shard, key
from aurum.bulk.source import Source
from aurum.bulk.tables import Failure, Result, numbers
from aurum.paths import PHOTO

PART_FACES = 20_000  # a part ends with this many faces, too: some 50 MB in memory


@dataclass(frozen=True)
class Job:
    """What to do.

    `options`: the client's for `analyze`; `part`: photos in one file; `headers`: sent with every
    request.
    """

    source: Source
    folder: Path
    urls: Sequence[str]
    options: dict[str, Any] = field(default_factory=dict)
    shard: Shard = Shard()
    concurrency: int = 8
    part: int = 2000
    patience: float = 300.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # they may have a key


@dataclass
class Tally:
    """Counts of this run, without what earlier ones did."""

    todo: int = 0  # as far as is known: for a shard an estimate
    photos: int = 0
    faces: int = 0
    earlier: int = 0  # were done before
    twice: list[str] = field(default_factory=list)  # the first ids that more than one photo has
    left_out: int = 0  # photos with such an id, or without one
    failed: dict[str, int] = field(default_factory=dict)  # by code

    def add(self, result: Result) -> None:
        """Count a photo."""
        self.photos += 1
        self.faces += result.faces
        if isinstance(result.answer, Failure):
            self.failed[result.answer.code] = self.failed.get(result.answer.code, 0) + 1


Progress = Callable[[Tally], None]


async def run(job: Job, tally: Tally, progress: Progress, notify: Callable[[str], None]) -> None:
    """Do what is left to do of `job`; `progress` is called after each photo.

    SIGTERM and SIGINT end it after writing what is done, with CancelledError.

    Raises:
        BulkError: it can't begin or go on: ServiceDownError if that is the service's fault,
            UsageError if the source, an address or an option can't be used.
    """
    task: asyncio.Task[Any] | None = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for stop in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stop, task.cancel if task else lambda: None)
    total = await asyncio.to_thread(job.source.count)
    if not total:
        raise UsageError("the source has no photo")
    async with Endpoints(job.urls, job.patience, job.headers) as servers:
        manifest = await _served(servers, job)
        if manifest.detector.startswith("simulated") or manifest.embedder.startswith("simulated"):
            notify("SIMULATED: the models of this service make up every face and embedding")
        output = Output(job.folder, job.shard)
        with output.opened(manifest):
            done = await asyncio.to_thread(output.done)
            tally.todo = max(0, -(-total // job.shard.count) - len(done))
            photos = pending(job.source, job.shard, done, tally)
            parts = _Parts(output, job.part)
            try:
                await _all(photos, partial(_ask, servers, manifest), job, tally, parts, progress)
            finally:
                await parts.close()


def pending(source: Source, shard: Shard, done: set[bytes], tally: Tally) -> Iterator[Photo]:
    """Yield the shard's photos that are not `done`, which becomes the set of all that were seen."""
    earlier, seen = done, set[bytes]()
    for photo in source.photos():
        if photo is None:
            tally.left_out += shard.index == 0  # belongs to no shard: one of them counts it
            continue
        name = key(photo.id)
        if not shard.has(name):
            continue
        if name in seen:
            tally.left_out += 1
            if len(tally.twice) < 3:
                tally.twice.append(photo.id)
            continue
        seen.add(name)
        if name in earlier:
            earlier.discard(name)
            tally.earlier += 1
        else:
            yield photo


async def _served(servers: Endpoints, job: Job) -> Manifest:
    """Ask each server for its models, which must be the same, and whether it takes the options."""
    manifests = {}
    for url, client in servers.clients.items():
        try:
            await client.analyze(PHOTO, **job.options)
            answer = await client.analyze(PHOTO)  # whatever the options leave out
        except AurumError as error:
            if error.code == "invalid_parameter":
                raise UsageError(str(error)) from error
            raise ServiceDownError(f"{url}: {error}") from error
        manifests[url] = _manifest(url, answer, job)
    (first, manifest), *others = manifests.items()
    for url, other in others:
        if (manifest.detector, manifest.embedder) != (other.detector, other.embedder):
            raise BulkError(
                f"the servers differ: {first} serves {manifest.detector} and {manifest.embedder}, "
                f"{url} serves {other.detector} and {other.embedder}"
            )
    return manifest


def _manifest(url: str, answer: Analysis, job: Job) -> Manifest:
    models = answer.models
    if not models.detector or not models.embedder:
        raise BulkError(f"{url}: the service does not report its models")
    calibration = numbers(answer.calibration) or None
    return Manifest(models.detector, models.embedder, calibration, job.shard.count, job.options)


async def _ask(servers: Endpoints, manifest: Manifest, options: Any, photo: Photo) -> Result:
    try:
        image = photo.image
        if isinstance(image, str):
            image = await asyncio.to_thread(fetch, image)
        answer = await servers.analyze(image, options)
    except AurumError as error:
        if concerns_service(error):
            raise ServiceDownError(str(error)) from error
        return _failed(photo, _code(error), error)
    except (OSError, ValueError, ImportError) as error:
        return _failed(photo, "unreadable", error)
    for mine, other in zip(
        (manifest.detector, manifest.embedder),
        (answer.models.detector, answer.models.embedder),
        strict=True,
    ):
        if other not in (mine, None):  # None: was not asked, as the photo has no face
            raise BulkError(f"the service changed its model from {mine} to {other} during the run")
    return Result(photo.id, photo.source, answer)


def _failed(photo: Photo, code: str, error: Exception) -> Result:
    reason = str(error) or type(error).__name__  # a path in it may have any bytes
    text = reason.encode("utf-8", "backslashreplace").decode()
    return Result(photo.id, photo.source, Failure(code, text))


def _code(error: AurumError) -> str:
    """Return the service's code, or one made of the class: RequestTimeoutError, request_timeout."""
    name = type(error).__name__.removesuffix("Error")
    return error.code or re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class _Parts:
    """Collects results. One part is written while the next one fills; more never wait."""

    def __init__(self, output: Output, photos: int) -> None:
        self._output, self._photos = output, photos
        self._results: list[Result] = []
        self._faces = 0
        self._writing: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def add(self, result: Result) -> None:
        async with self._lock:
            self._results.append(result)
            self._faces += result.faces
            if len(self._results) >= self._photos or self._faces >= PART_FACES:
                await self._begin()

    async def close(self) -> None:
        """Write the rest, and wait until all is written."""
        if self._results:
            await self._begin()
        await self._written()

    async def _begin(self) -> None:
        await self._written()
        results, self._results, self._faces = self._results, [], 0
        self._writing = asyncio.create_task(asyncio.to_thread(self._output.write, results))

    async def _written(self) -> None:
        if self._writing:
            await asyncio.shield(self._writing)


async def _all(
    photos: Iterator[Photo],
    ask: Callable[[Any, Photo], Any],
    job: Job,
    tally: Tally,
    parts: _Parts,
    progress: Progress,
) -> None:
    """Ask for all photos, `concurrency` at a time; about three times as many are in memory."""
    queue: asyncio.Queue[Photo | None] = asyncio.Queue(job.concurrency)

    async def feed() -> None:
        while chunk := await asyncio.to_thread(lambda: list(islice(photos, job.concurrency))):
            for photo in chunk:
                await queue.put(photo)
        for _ in range(job.concurrency):
            await queue.put(None)

    async def work() -> None:
        while (photo := await queue.get()) is not None:
            result = await ask(job.options, photo)
            await parts.add(result)
            tally.add(result)
            progress(tally)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(feed())
            for _ in range(job.concurrency):
                group.create_task(work())
    except* BulkError as several:
        raise several.exceptions[0] from None
