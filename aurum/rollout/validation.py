"""Validate a release: check the whole service on throwaway servers."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from aurum_client import Analysis, AurumError, FaceClient, InvalidImageError
from numpy.typing import NDArray

from aurum import contract
from aurum.paths import PHOTO
from aurum.releases.state import Check, Release, StateError, Store
from aurum.server import ephemeral
from aurum.server.server import Server, ServerError
from aurum.settings import Settings

TIMEOUT = 60.0  # seconds for one photo

# Where the face of PHOTO is (left, right, top, bottom, in pixels); the middle of its box is inside.
FACE = (150, 290, 50, 190)
# Rounding in batches may change embeddings' lengths, and make HTTP and gRPC differ.
TOLERANCE = 1e-3

# Measures the accuracy of the service at an address; implemented by the command line.
Accuracy = Callable[[str], float]


@dataclass(frozen=True)
class Gates:
    """Requirements that the operator can set."""

    rounds: int = 30  # photos for measuring each server's latency; 0: it is not measured
    max_latency_ratio: float | None = None  # new / old, of the medians
    max_accuracy_loss: float = 0.005  # share of the pairs, compared with the served release


def validate(
    new: Release,
    old: Release | None,
    store: Store,
    settings: Settings,
    gates: Gates,
    accuracy: Accuracy | None = None,
) -> tuple[Check, ...]:
    """Run all checks of `new`; some compare it with `old`, the served release.

    The running service is not involved, but shares the machine.
    """
    try:
        with ExitStack() as stack:
            service = stack.enter_context(_serving(new, store, settings))
            checks = [Check("loads", True, "all graphs, on a throwaway server")]
            checks += _smoke(service.settings, new.ids)
            if not all(check.ok for check in checks):
                return tuple(checks)
            before = stack.enter_context(_serving(old, store, settings)) if old else None
            if gates.rounds:
                checks.append(_latency(service, before, gates))
            if accuracy:
                checks.append(_accuracy(service, before, gates, accuracy))
            return tuple(checks)
    except (ServerError, StateError) as error:
        return (Check("loads", False, str(error)),)


@contextmanager
def _serving(release: Release, store: Store, settings: Settings) -> Iterator[Server]:
    with (
        tempfile.TemporaryDirectory(prefix="aurum-") as folder,
        ephemeral.serving(store.paths(release), settings, Path(folder)) as server,
    ):
        yield server


def _smoke(settings: Settings, ids: Mapping[str, str]) -> Iterator[Check]:
    checks = {
        "contract": _contract,
        "HTTP and gRPC agree": _agree,
        "a broken photo": _broken,
    }
    # Simulated models find a face in any photo.
    if not any(name.startswith("simulated") for name in ids.values()):
        checks |= {"a photo of one face": _one_face, "a photo without a face": _no_face}
    with (
        FaceClient(settings.http_url, timeout=TIMEOUT) as http,
        FaceClient(settings.grpc_url, timeout=TIMEOUT) as grpc,
    ):
        for name, check in checks.items():
            try:
                yield Check(name, True, check(http, grpc, ids))
            except (AurumError, _WrongAnswer) as error:
                yield Check(name, False, str(error))


class _WrongAnswer(Exception):
    """An answer is wrong."""


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise _WrongAnswer(message)


def _contract(http: FaceClient, grpc: FaceClient, ids: Mapping[str, str]) -> str:
    """Check the values of an answer; the client checks shapes and types."""
    answer = http.analyze(PHOTO, min_confidence=0.0, max_faces=20)
    said = {contract.DETECTION: answer.models.detector}
    if len(answer):
        said[contract.EMBEDDING] = answer.models.embedder
    for name, model in said.items():
        _need(model == ids[name], f"{name} answers with {model} instead of {ids[name]}")
    for name in ("boxes", "landmarks", "scores", "embeddings", "quality", "quality_parts"):
        _need(bool(np.isfinite(getattr(answer, name)).all()), f"{name} are not all finite")
    for name in ("scores", "quality"):
        values = getattr(answer, name)
        _need(bool(((values >= 0) & (values <= 1)).all()), f"{name} are not all from 0 to 1")
    lengths = np.linalg.norm(answer.embeddings, axis=1)
    off = float(np.abs(lengths - 1).max(initial=0))
    _need(off <= TOLERANCE, f"the length of an embedding differs from 1 by {off:.3g}")
    return f"{len(answer)} candidates of a photo are well-formed; {', '.join(ids.values())} answer"


def _agree(http: FaceClient, grpc: FaceClient, ids: Mapping[str, str]) -> str:
    one, other = http.analyze(PHOTO), grpc.analyze(PHOTO)
    _need(len(one) == len(other), f"{len(one)} faces over HTTP, {len(other)} over gRPC")
    off = float(np.abs(one.embeddings - other.embeddings).max(initial=0))
    _need(off <= TOLERANCE, f"the embeddings differ by {off:.3g}")
    return f"{len(one)} faces, embeddings differ by {off:.1g}"


def _broken(http: FaceClient, grpc: FaceClient, ids: Mapping[str, str]) -> str:
    try:
        http.analyze(PHOTO.read_bytes()[:200])
    except InvalidImageError as error:
        return f"is refused: {error}"
    raise _WrongAnswer("is answered, not refused")


def _one_face(http: FaceClient, grpc: FaceClient, ids: Mapping[str, str]) -> str:
    answer: Analysis = http.analyze(PHOTO)
    _need(len(answer) == 1, f"{len(answer)} faces are found in {PHOTO.name}")
    x, y, width, height = answer.boxes[0].tolist()
    left, right, top, bottom = FACE
    inside = left < x + width / 2 < right and top < y + height / 2 < bottom
    _need(inside, f"the face of {PHOTO.name} is found in the wrong place, at {x:.0f}, {y:.0f}")
    mirrored = _encoded(cv2.imread(str(PHOTO))[:, ::-1])
    cosine = float(http.embed(PHOTO).vector @ http.embed(mirrored).vector)
    _need(cosine > 0.5, f"the photo and its mirror image have a similarity of {cosine:.2f}")
    return f"found, score {answer.scores[0]:.2f}; similarity to its mirror image {cosine:.2f}"


def _no_face(http: FaceClient, grpc: FaceClient, ids: Mapping[str, str]) -> str:
    gradient = np.linspace(0, 255, 640)[None, :, None].astype(np.uint8)
    answer = http.analyze(_encoded(np.tile(gradient, (480, 1, 3))))
    _need(len(answer) == 0, f"{len(answer)} faces are found in a grey gradient")
    return "no face is found"


def _encoded(image: NDArray[Any]) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(image))[1].tobytes()


def _latency(new: Server, old: Server | None, gates: Gates) -> Check:
    """Compare latencies; the servers take turns, so that other load affects both equally."""
    photo = PHOTO.read_bytes()
    servers = [new, *([old] if old else [])]
    times: list[list[float]] = [[] for _ in servers]
    with ExitStack() as stack:
        clients = [
            stack.enter_context(FaceClient(server.settings.grpc_url, timeout=TIMEOUT))
            for server in servers
        ]
        for number in range(-3, gates.rounds):  # negative numbers: warm-up
            for client, taken in zip(clients, times, strict=True):
                start = time.perf_counter()
                client.analyze(photo)
                if number >= 0:
                    taken.append(time.perf_counter() - start)
    medians = [statistics.median(taken) * 1000 for taken in times]
    shown = f"median {medians[0]:.1f} ms"
    if not old:
        return Check("latency", True, f"{shown}; there is nothing to compare with")
    ratio = medians[0] / medians[1]
    limit = gates.max_latency_ratio
    detail = f"{shown}, {medians[1]:.1f} ms for the served release: ratio {ratio:.2f}"
    detail += f", allowed {limit:g}" if limit else ", no limit was given"
    return Check("latency", limit is None or ratio <= limit, detail)


def _accuracy(new: Server, old: Server | None, gates: Gates, measure: Accuracy) -> Check:
    after = measure(new.settings.grpc_url)
    if not old:
        return Check("accuracy", True, f"{after:.2%}; there is nothing to compare with")
    before = measure(old.settings.grpc_url)
    allowed = f"allowed loss {gates.max_accuracy_loss:.2%}"
    detail = f"{after:.2%}, {before:.2%} for the served release; {allowed}"
    return Check("accuracy", before - after <= gates.max_accuracy_loss, detail)
