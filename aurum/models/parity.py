"""Parity check: a served graph and its upstream give the same results, on random and real input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    NotImplemented,
    RuntimeException,
)

from aurum import contract
from aurum.contract import CROP_SIDE, LIVENESS_SIDE
from aurum.imaging.align import SECOND_SIDE, crop_matrices, cut_for_second_look
from aurum.imaging.faces import LISTED, LISTED_SCORE
from aurum.imaging.letterbox import letterbox
from aurum.models.families import minifasnet_reference, reference
from aurum.models.families.checkpoint import Tensors
from aurum.models.families.graph import BuildError
from aurum.models.manifest import Model
from aurum.paths import PHOTO


@dataclass(frozen=True)
class Tolerance:
    """How much a served graph's results may differ from its upstream's."""

    score: float
    pixels: float
    # In addition to `pixels`, as a share of the longer side of the face's box.
    share: float
    # Of each number of an embedding.
    embedding: float


# Both sides compute in float32, but in a different order of operations.
FLOATS = Tolerance(score=1e-4, pixels=0.05, share=0, embedding=1e-4)
# With AVX-512 VNNI, our kernels multiply 16-bit integers (backends/ops/linear_vnni.h).
INTEGERS = Tolerance(score=2e-3, pixels=0.05, share=2e-3, embedding=1e-3)
# What onnxruntime raises for a graph that it, or an operator of the library, refuses.
ORT_ERRORS = (Fail, InvalidArgument, InvalidGraph, NotImplemented, RuntimeException)
# A candidate with a lower score is noise, where exp() can amplify rounding errors to whole pixels.
NOISE = 0.02


class ParityError(BuildError):
    """A served graph differs from its upstream; the message says where and by how much."""


def check_parity(
    name: str,
    served: onnx.ModelProto,
    upstream: onnx.ModelProto,
    entry: Model,
    library: Path | None = None,
) -> None:
    """Compare the graph served as `name` with its upstream, on single inputs and on batches.

    `library` has the custom operators of the served graph. Raises ParityError, also for a graph
    that can't be loaded.
    """
    try:
        session = _session(served, library)
    except ORT_ERRORS as error:
        raise ParityError(f"{entry.name}: {name} can't be loaded: {error}") from error
    original = _session(upstream)
    allowed = INTEGERS if library else FLOATS
    if name == contract.LANDMARKS:
        _check_landmarks(session, original, entry, _second_looks(), allowed)
    elif entry.role == "detector":
        for images in (_noise((2, 96, 160, 3)), _photos(320), _photos(512)):
            _check_detector(session, original, entry, images, allowed)
    else:
        crops = np.concatenate([_noise((2, 112, 112, 3)), _crops()])
        _check_embedder(session, original, entry, crops, allowed.embedding)


def check_liveness(served: onnx.ModelProto, checkpoints: Mapping[str, Tensors]) -> None:
    """Compare `face_liveness` with its checkpoints, by the input that each reads.

    The reference is our own NumPy code, not upstream's: that needs PyTorch. Raises ParityError.
    """
    session = _session(served)
    crops = np.concatenate([_noise((2, LIVENESS_SIDE, LIVENESS_SIDE, 3)), _crops(LIVENESS_SIDE)])
    inputs = {name: np.roll(crops, shift, axis=0) for shift, name in enumerate(checkpoints)}
    want = np.mean(
        [
            [minifasnet_reference.real(tensors, crop) for crop in inputs[name]]
            for name, tensors in checkpoints.items()
        ],
        axis=0,
    )
    (batch,) = session.run(["liveness"], inputs)
    for row, wanted in enumerate(want):
        alone = {name: value[row : row + 1] for name, value in inputs.items()}
        for got in (batch[row], session.run(["liveness"], alone)[0]):
            _check_within(contract.LIVENESS, "liveness", np.abs(got - wanted), FLOATS.score)


def _check_detector(
    served: ort.InferenceSession,
    original: ort.InferenceSession,
    entry: Model,
    images: NDArray[np.uint8],
    allowed: Tolerance,
) -> None:
    names = ["boxes", "landmarks", "scores"]
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    batch = served.run(names, {"images": planes})
    for index, image in enumerate(images):
        want = reference.detect(original, entry, image)
        for results, row in (
            (batch, index),
            (served.run(names, {"images": planes[index : index + 1]}), 0),
        ):
            got = {name: value[row] for name, value in zip(names, results, strict=True)}
            _check_candidates(entry.name, got, want, allowed)


def _check_candidates(
    name: str, got: reference.Tensors, want: reference.Tensors, allowed: Tolerance
) -> None:
    count = len(got["scores"])
    least = min(
        max(LISTED, int((want["scores"] >= LISTED_SCORE + allowed.score).sum())),
        max(LISTED, len(want["scores"]) // 2),
        len(want["scores"]),
    )
    if count < least:
        raise ParityError(f"{name}: {count} candidates, expected at least {least}")
    _check_within(name, "scores", np.abs(got["scores"] - want["scores"][:count]), allowed.score)
    for index in np.flatnonzero(got["scores"] > NOISE):
        # Equal scores may be in a different order: compare with all candidates of this score.
        near = np.abs(want["scores"] - got["scores"][index]) <= allowed.score
        distance = np.maximum(
            np.abs(want["boxes"][near] - got["boxes"][index]).max(axis=1),
            np.abs(want["landmarks"][near] - got["landmarks"][index]).max(axis=(1, 2)),
        )
        bound = allowed.pixels + allowed.share * got["boxes"][index, 2:].max()
        _check_within(name, f"candidate {index}", distance.min(keepdims=True), bound)


def _check_landmarks(
    session: ort.InferenceSession,
    original: ort.InferenceSession,
    entry: Model,
    crops: NDArray[np.uint8],
    allowed: Tolerance,
) -> None:
    bound = allowed.pixels + allowed.share * SECOND_SIDE
    want = [reference.landmarks(original, entry, crop) for crop in crops]
    batch = session.run(["landmarks", "scores"], {"crops": crops})
    alone = [session.run(["landmarks", "scores"], {"crops": crop[None]}) for crop in crops]
    for got in (batch, [np.concatenate(part) for part in zip(*alone, strict=True)]):
        for points, score, (wanted, wanted_score) in zip(*got, want, strict=True):
            _check_within(
                entry.name, "landmarks' score", np.abs(score - wanted_score), allowed.score
            )
            _check_within(entry.name, "landmarks", np.abs(points - wanted), bound)


def _check_embedder(
    served: ort.InferenceSession,
    original: ort.InferenceSession,
    entry: Model,
    crops: NDArray[np.uint8],
    tolerance: float,
) -> None:
    want = reference.embed(original, entry, crops)
    (batch,) = served.run(["embedding"], {"crops": crops})
    alone = np.concatenate([served.run(["embedding"], {"crops": crop[None]})[0] for crop in crops])
    for got in (batch, alone):
        _check_within(entry.name, "embedding", np.abs(got - want), tolerance)


def _check_within(name: str, what: str, difference: NDArray[np.float32], tolerance: float) -> None:
    worst = float(difference.max(initial=0))
    if not worst <= tolerance:  # also true for NaN
        raise ParityError(
            f"{name}: {what} differs from upstream by {worst:.3g} (over {tolerance:.3g})"
        )


def _session(model: onnx.ModelProto, library: Path | None = None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    if library:
        options.register_custom_ops_library(str(library))
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _noise(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _photo() -> NDArray[np.uint8]:
    return cv2.imread(str(PHOTO), cv2.IMREAD_COLOR_RGB)  # type: ignore[return-value]


def _photos(size: int) -> NDArray[np.uint8]:
    """A photo and its mirror image: a batch with two different results."""
    image = letterbox(_photo(), size).image
    return np.stack([image, image[:, ::-1]])


def _second_looks() -> NDArray[np.uint8]:
    """Crops for the second look: the astronaut's face, shifted, mirrored, and a black crop."""
    photo, side = _photo(), SECOND_SIDE
    points = np.array([[[200, 108], [244, 104], [228, 130], [208, 152], [244, 150]]], np.float32)
    nowhere = np.zeros((1, 4), np.float32)
    face = cut_for_second_look(photo, crop_matrices(nowhere, points))[0]
    moved = cut_for_second_look(photo, crop_matrices(nowhere, points + 5))[0]
    return np.concatenate([face, moved, face[:, ::-1], np.zeros((1, side, side, 3), np.uint8)])


def _crops(side: int = CROP_SIDE) -> NDArray[np.uint8]:
    face = cv2.resize(_photo()[50:190, 150:290], (side, side), interpolation=cv2.INTER_AREA)
    return np.stack([face, face[:, ::-1]])
