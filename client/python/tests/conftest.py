"""A fake transport and the outputs of a server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import numpy as np
import pytest
from aurum_client.errors import ModelNotFoundError
from aurum_client.transport import Answer
from wire_servers import GrpcServer, HttpServer

DETECTOR = "yunet@0123456789ab"
EMBEDDER = "edgeface@ba9876543210"
CALIBRATION = [0.25, 0.5, 0.75, 20, -10, 0.5]


def make_outputs(
    faces: int = 1,
    *,
    detector: str = DETECTOR,
    embedder: str = EMBEDDER,
    axis: int = 0,
    embeddings: bool = True,
    complete: bool = True,
    gate: list[int] | None = None,
) -> dict[str, np.ndarray]:
    """Return the outputs of a pipeline; every embedding is the unit vector along ``axis``.

    ``gate``: None if all faces are recognizable.
    """
    vectors = np.zeros((faces, 512), np.float32)
    vectors[:, axis] = 1
    outputs = {
        "boxes": np.arange(faces * 4, dtype=np.float32).reshape(faces, 4),
        "landmarks": np.arange(faces * 10, dtype=np.float32).reshape(faces, 5, 2),
        "scores": np.linspace(0.9, 0.5, faces, dtype=np.float32),
        "rotations": np.arange(90, 90 * (faces + 1), 90, np.int32) % 360,
        "complete": np.array([complete]),
        "image_size": np.array([640, 480], np.int32),
        "models": np.array([detector.encode(), embedder.encode()], np.object_),
    }
    if not embeddings:
        return outputs
    return outputs | {
        "embeddings": vectors,
        "quality": np.linspace(1, 0, faces, dtype=np.float32),
        "quality_parts": np.arange(faces * 16, dtype=np.float32).reshape(faces, 16),
        "gate": np.array([-1] * faces if gate is None else gate, np.int32),
        "calibration": np.array(CALIBRATION if faces else [], np.float32),
    }


class FakeTransport:
    """Responds with ``answer(model, image)``: outputs, an error, or an awaitable."""

    def __init__(self, answer: Callable[[str, bytes], Any] | None = None) -> None:
        self.answer = answer or (lambda model, image: make_outputs())
        self.calls: list[tuple[str, bytes, dict, str | None]] = []
        self.timeouts: list[float] = []
        self.live: Any = True
        self.ready: Any = True
        self.closed = 0
        self.running = self.most_running = 0
        self.loops: set[asyncio.AbstractEventLoop] = set()
        self.missing: tuple[str, ...] = ()

    async def infer(self, model, image, parameters, request_id, timeout):
        self.calls.append((model, image, parameters, request_id))
        self.timeouts.append(timeout)
        self.loops.add(asyncio.get_running_loop())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(0)
            answer = self.answer(model, image)
            if isinstance(answer, Awaitable):
                answer = await answer
        finally:
            self.running -= 1
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Answer) else Answer(answer, {})

    async def is_live(self) -> bool:
        return self._said(self.live)

    async def is_ready(self, model: str | None = None) -> bool:
        return self._said(self.ready)

    async def metadata(self, model: str) -> Mapping[str, Any]:
        if model in self.missing:
            raise ModelNotFoundError(f"unknown model {model}")
        return {
            "name": model,
            "versions": ["1"],
            "inputs": [{"name": "image", "datatype": "BYTES", "shape": ["1"]}],
            "outputs": [{"name": "boxes", "datatype": "FP32", "shape": [-1, 4]}],
        }

    async def close(self) -> None:
        self.closed += 1

    def forked(self) -> None:
        raise NotImplementedError("no test forks with this transport")

    @staticmethod
    def _said(value: Any) -> bool:
        if isinstance(value, BaseException):
            raise value
        return value


@pytest.fixture
def outputs():
    """The function that creates a pipeline's outputs."""
    return make_outputs


@pytest.fixture
def fake():
    """The class of the fake transport."""
    return FakeTransport


@pytest.fixture
def no_waiting(monkeypatch):
    """Retry without delay; the fixture lists the attempts that were followed by a retry."""
    waits: list[int] = []

    def backoff(attempt):
        waits.append(attempt)
        return 0.0

    monkeypatch.setattr("aurum_client._retry.backoff", backoff)
    return waits


@pytest.fixture(params=[HttpServer, GrpcServer], ids=["http", "grpc"])
def server(request):
    """A server of each protocol, not started."""
    return request.param(make_outputs)
