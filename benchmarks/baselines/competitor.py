"""The competitor: FastAPI and uvicorn with the same models, one worker per core.

It is written as a careful user would write it: each worker loads the models once, the photo is the
raw body, the work runs in a thread so that the event loop stays free, and numbers are compact JSON.

Each worker has its own port, and the load generator distributes connections evenly, as a load
balancer would. With `uvicorn --workers` on one socket, a single worker sometimes takes all
connections of a benchmark, and the competitor would look half as fast as it is.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache

import cv2
import orjson
from fastapi import FastAPI, Request, Response

from aurum.errors import OperatorError
from aurum.imaging.decoding.refusal import InvalidImageError
from aurum.pipeline.request import RequestError
from aurum.server.ephemeral import free_ports
from aurum.settings import Settings
from benchmarks.baselines import local
from benchmarks.baselines.plain import PlainService

_KIND = "AURUM_BENCH_COMPETITOR"  # which models: plain or served

app = FastAPI()


class CompetitorError(OperatorError, RuntimeError):
    """The competitor did not start; its log is above."""


# One thread: a worker has one core, on which more threads would only evict each other's caches.
_worker = ThreadPoolExecutor(1)


@cache
def _service() -> local.LocalService | PlainService:
    cv2.setNumThreads(1)
    return local.load(os.environ[_KIND], Settings.from_env())


def _answer(image: bytes) -> bytes:
    faces, embeddings, assessment = _service().analyze(image)
    return orjson.dumps(
        {
            "boxes": faces.boxes,
            "landmarks": faces.landmarks,
            "scores": faces.scores,
            "embeddings": embeddings,
            "quality": assessment.quality,
            "quality_parts": assessment.parts,
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


@app.get("/ready")
def ready() -> str:
    """Answer as soon as this worker's models are loaded."""
    _service()
    return "ready"


@app.post("/analyze")
async def analyze(request: Request) -> Response:
    """Analyze the photo in the body."""
    image = await request.body()
    try:
        body = await asyncio.get_running_loop().run_in_executor(_worker, _answer, image)
    except (InvalidImageError, RequestError) as error:
        return Response(orjson.dumps({"error": str(error)}), 400, media_type="application/json")
    return Response(body, media_type="application/json")


@contextmanager
def running(kinds: Sequence[str], settings: Settings) -> Iterator[dict[str, list[str]]]:
    """Serve `plain` and/or `served` models on loopback, with one process per core for each kind.

    Yields the /analyze addresses of each kind's workers.
    """
    workers = [kind for kind in kinds for _ in os.sched_getaffinity(0)]
    ports = free_ports(len(workers))
    urls: dict[str, list[str]] = {kind: [] for kind in kinds}
    with ExitStack() as stack:
        # Start all before waiting for the first.
        started = [
            stack.enter_context(_started(kind, settings, port))
            for kind, port in zip(workers, ports, strict=True)
        ]
        for kind, port, process in zip(workers, ports, started, strict=True):
            _wait(f"http://127.0.0.1:{port}/ready", process, settings.ready_timeout)
            urls[kind].append(f"http://127.0.0.1:{port}/analyze")
        yield urls


@contextmanager
def _started(kind: str, settings: Settings, port: int) -> Iterator[subprocess.Popen[bytes]]:
    # uvloop, as with uvicorn[standard].
    options = f"--port={port} --loop=uvloop --no-access-log --log-level=warning"
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "benchmarks.baselines.competitor:app", *options.split()],
        env={**os.environ, **settings.to_env(), _KIND: kind, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def _wait(url: str, process: subprocess.Popen[bytes], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own http address
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise CompetitorError(f"the competitor did not answer at {url}")
