"""The two models called directly, and the pipeline that only embeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aurum import contract
from aurum.imaging.align import align
from aurum.imaging.decoding.decode import decode
from aurum.imaging.letterbox import letterbox, planar
from benchmarks.baselines import in_process, local
from benchmarks.common import names, triton_stats
from benchmarks.common.rows import Run
from benchmarks.load import wrk
from benchmarks.load.outcome import Load
from benchmarks.performance.bench import Bench

BUSY = 8  # clients that keep a model busy
BUSY_BATCHES = 4  # the same with whole batches: one is computed while the next are in transit

Step = tuple[str, int, int, Callable[[], Load]]


def measure(bench: Bench) -> None:
    """Write `models.csv`, where face_embedding's size is the number of crops in a request."""
    table = bench.table("models", Run)
    for index, (what, clients, size, load) in bench.rounds("models", _steps(bench)):
        result = load()
        table.add(Run.of(index, what, clients, result, size=size))


def tensors(bench: Bench) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the pipelines' inputs of detector and embedder for the photo with one face."""
    settings = bench.settings
    photo = bench.photo.read_bytes()
    pixels = decode(photo, settings.max_image_bytes, settings.max_image_pixels)
    faces = local.load(local.SERVED, settings).analyze(photo).faces
    boxed = planar(letterbox(pixels, settings.detection_size).image)[None]
    return boxed, align(pixels, faces.boxes, faces.landmarks)[:1]


def _steps(bench: Bench) -> list[Step]:
    seconds = bench.suite.seconds
    boxed, crop = tensors(bench)
    png = cv2.imencode(".png", cv2.cvtColor(crop[0], cv2.COLOR_RGB2BGR))[1].tobytes()
    aligned = wrk.body({"image": np.array([png], np.object_)}, {"aligned": True})

    config = triton_stats.config(bench.http, contract.EMBEDDING)
    batch = max(1, int(config["max_batch_size"]))
    crops = np.repeat(crop, batch, axis=0)
    # The graph in process gets as many cores as in the service.
    workers = min(triton_stats.workers(config), in_process.cores())

    def post(model: str, clients: int, body: wrk.Body) -> Callable[[], Load]:
        return lambda: wrk.post(bench.infer(model), body, clients, seconds)

    def alone() -> Load:
        arguments: tuple[Any, ...] = (bench.prepared.graphs[contract.EMBEDDING], "crops", crops)
        return in_process.run(in_process.graph, arguments, seconds, workers)

    def tensor(name: str, value: NDArray[np.uint8]) -> wrk.Body:
        return wrk.body({name: value})

    single, whole, image = tensor("crops", crop), tensor("crops", crops), tensor("images", boxed)
    return [
        (names.EMBEDDING_IN_PROCESS, workers, batch, alone),
        (names.EMBEDDING, 2 * batch, 1, post(contract.EMBEDDING, 2 * batch, single)),
        (names.EMBEDDING, BUSY_BATCHES, batch, post(contract.EMBEDDING, BUSY_BATCHES, whole)),
        (names.DETECTION, 1, 1, post(contract.DETECTION, 1, image)),
        (names.DETECTION, BUSY, 1, post(contract.DETECTION, BUSY, image)),
        (names.ALIGNED, 1, 1, post("embed_face", 1, aligned)),
        (names.ALIGNED, BUSY, 1, post("embed_face", BUSY, aligned)),
    ]
