"""Reference results for the parity check: outputs of upstream graphs, decoded in NumPy.

This code is deliberately independent of the served graphs: it follows the papers' formulas cell by
cell, without the index arithmetic of the served graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from aurum.imaging.align import SECOND_SIDE, SECOND_TEMPLATE
from aurum.models.families import detector
from aurum.models.families.candidates import STRIDES
from aurum.models.manifest import Model

Tensors = dict[str, NDArray[Any]]


def detect(session: ort.InferenceSession, entry: Model, image: NDArray[np.uint8]) -> Tensors:
    """Return all candidates of an RGB image [H,W,3], best first: boxes, landmarks, scores."""
    if entry.family == "yunet":
        heads = _run(session, image[..., ::-1].astype(np.float32))
        levels = [_yunet(heads, stride, image.shape) for stride in STRIDES]
    else:
        heads = _run(session, (image.astype(np.float32) - 127.5) / 128)
        names = [output.name for output in session.get_outputs()]
        levels = [
            _scrfd([heads[name] for name in names[level::3]], stride, image.shape)
            for level, stride in enumerate(STRIDES)
        ]
    joined = {name: np.concatenate([level[name] for level in levels]) for name in levels[0]}
    order = np.argsort(-joined["scores"], kind="stable")
    return {name: value[order] for name, value in joined.items()}


def landmarks(
    session: ort.InferenceSession, entry: Model, crop: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], float]:
    """Return the `face_landmarks` result for an RGB crop [96,96,3]: landmarks [5,2] and score."""
    seen: list[tuple[NDArray[np.float32], float]] = []
    for image in (crop, crop[:, ::-1]):
        found = detect(session, entry, image)
        points = found["landmarks"]
        if image is not crop:
            points = (points * (-1, 1) + (SECOND_SIDE - 1, 0))[:, detector.MIRRORED]
        near = np.abs(points - SECOND_TEMPLATE).max(axis=(1, 2)) < detector.NEAR
        taken = np.flatnonzero(near & (found["scores"] >= detector.LEAST_SCORE))
        if len(taken):
            scores = found["scores"][taken].astype(np.float64)
            mean = np.average(points[taken], axis=0, weights=scores**detector.POWER)
            seen.append((mean, float(scores.max())))
    if not seen:
        return np.zeros((5, 2), np.float32), 0.0
    mean = np.mean([points for points, _ in seen], axis=0)
    return np.asarray(mean, np.float32), sum(score for _, score in seen) / 2


def embed(
    session: ort.InferenceSession, entry: Model, crops: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return embeddings of length 1 of RGB crops [N,112,112,3], run one by one.

    Some upstream graphs support only batch 1.
    """
    assert entry.input is not None
    pixels = crops if entry.input.color == "RGB" else crops[..., ::-1]
    scaled = (pixels.astype(np.float32) - entry.input.mean) / entry.input.std
    raw = np.concatenate([next(iter(_run(session, image).values()))[None] for image in scaled])
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)  # type: ignore[no-any-return]


def _run(session: ort.InferenceSession, image: NDArray[np.float32]) -> Tensors:
    """Run one image [H,W,3]; return outputs without their batch dimension, if they have one."""
    planar = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)
    names = [output.name for output in session.get_outputs()]
    results = session.run(names, {session.get_inputs()[0].name: planar})
    # SCRFD's upstream heads are lists of anchors without a batch dimension.
    return {
        name: value[0] if value.ndim == 3 or len(value) == 1 else value
        for name, value in zip(names, results, strict=True)
    }


def _cells(stride: int, shape: Sequence[int], anchors: int) -> NDArray[np.float32]:
    """Column and row of each anchor's cell, [A,2]."""
    height, width = shape[0] // stride, shape[1] // stride
    cells = [(x, y) for y in range(height) for x in range(width) for _ in range(anchors)]
    return np.array(cells, np.float32)


def _yunet(heads: Tensors, stride: int, shape: Sequence[int]) -> Tensors:
    cells = _cells(stride, shape, 1)
    box, points = heads[f"bbox_{stride}"], heads[f"kps_{stride}"].reshape(-1, 5, 2)
    sure = np.clip(heads[f"cls_{stride}"], 0, 1) * np.clip(heads[f"obj_{stride}"], 0, 1)
    size = np.exp(box[:, 2:]) * stride
    corner = (cells + box[:, :2]) * stride - size / 2
    return {
        "boxes": np.concatenate([corner, size], axis=1),
        "landmarks": (cells[:, None] + points) * stride,
        "scores": np.sqrt(sure[:, 0]),
    }


def _scrfd(heads: Sequence[NDArray[Any]], stride: int, shape: Sequence[int]) -> Tensors:
    scores, distance, points = heads
    centre = _cells(stride, shape, 2) * stride
    left_top, right_bottom = distance[:, :2] * stride, distance[:, 2:] * stride
    return {
        "boxes": np.concatenate([centre - left_top, left_top + right_bottom], axis=1),
        "landmarks": centre[:, None] + points.reshape(-1, 5, 2) * stride,
        "scores": scores[:, 0],
    }
