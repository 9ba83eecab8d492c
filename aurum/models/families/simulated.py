"""The simulated profile: tiny graphs with the real contracts but without trained weights.

With them, everything except accuracy can be developed and tested on a machine without models. Their
results are deterministic and depend on the photo, but have no meaning.
"""

from __future__ import annotations

import hashlib

import numpy as np
from onnx import ModelProto

from aurum import contract
from aurum.imaging.align import SECOND_TEMPLATE
from aurum.models.families import arcface, candidates, detector, graph

CELLS = 8
# The face is in the middle, with three quarters of the photo's sides and frontal landmarks.
FACE_SIDE = 0.75
LANDMARKS = np.array(
    [[0.35, 0.40], [0.65, 0.40], [0.50, 0.58], [0.38, 0.75], [0.62, 0.75]], np.float32
)


def build_detector() -> ModelProto:
    """Build `face_detection`, which returns the candidates of `_candidates`."""
    model = _candidates()
    return detector.finish(model, _identity("simulated_detector", model), 0.0)


def _candidates() -> ModelProto:
    """Find one certain face (score 0.9) and 63 doubtful ones (below 0.6) in photos with contrast.

    A photo of one colour has none. The doubtful faces are on an 8 x 8 grid, so that a low
    `min_confidence` yields crowds for tests.
    """
    cell = 1 / CELLS
    grid = np.stack(np.meshgrid(np.arange(CELLS), np.arange(CELLS)), axis=-1).reshape(-1, 2)[1:]
    margin = (1 - FACE_SIDE) / 2
    boxes = np.array(
        [[margin, margin, FACE_SIDE, FACE_SIDE]]
        + [[x * cell, y * cell, cell, cell] for x, y in grid],
        np.float32,
    )
    landmarks = boxes[:, None, :2] + boxes[:, None, 2:] * LANDMARKS
    weights = np.concatenate([[0.9], np.linspace(0.55, 0.15, len(grid))]).astype(np.float32)
    model = graph.fragment(
        f"""
        detect (uint8[N, 3, H, W] images)
            => (float[N, K, 4] boxes, float[N, K, 5, 2] landmarks, float[N, K] scores) {{
            {candidates.CHECKED_SIZE}
            height_width = Slice (size, first_side, last_side)
            unpadded = Sub (height_width, most_padding)
            photos = Slice (images, origin, unpadded, axes)
            pixels = Cast <to=1> (photos)
            high = ReduceMax <axes=[1, 2, 3], keepdims=0> (pixels)
            low = ReduceMin <axes=[1, 2, 3], keepdims=0> (pixels)
            range = Sub (high, low)
            textured = Greater (range, contrast)
            present = Cast <to=1> (textured)
            column = Unsqueeze (present, i1)
            scores = Mul (column, weights)
            height, width = Split <axis=0> (height_width)
            size_xy = Concat <axis=0> (width, height)
            size_f = Cast <to=1> (size_xy)
            size_box = Concat <axis=0> (size_f, size_f)
            batch = Shape <start=0, end=1> (images)
            shape_box = Concat <axis=0> (batch, i1, i1)
            shape_point = Concat <axis=0> (batch, i1, i1, i1)
            photo_boxes = Mul (unit_boxes, size_box)
            photo_points = Mul (unit_landmarks, size_f)
            boxes = Expand (photo_boxes, shape_box)
            landmarks = Expand (photo_points, shape_point)
        }}
        """,
        {
            **candidates.CHECK_CONSTANTS,
            "i1": np.array([1], np.int64),
            # Up to 31 black rows and columns belong to the letterbox, not to the photo.
            "most_padding": np.array([31, 31], np.int64),
            "origin": np.array([0, 0], np.int64),
            "axes": np.array([2, 3], np.int64),
            "contrast": np.float32(32),
            "weights": weights[None],
            "unit_boxes": boxes[None],
            "unit_landmarks": landmarks[None].astype(np.float32),
        },
    )
    return candidates.name_check(model)


def build_landmarks() -> ModelProto:
    """Build `face_landmarks`, which finds the face at the expected place in any crop."""
    model = graph.fragment(
        """
        landmarks (uint8[N, 96, 96, 3] crops)
            => (float[N, 5, 2] landmarks, float[N, 1] scores) {
            batch = Shape <start=0, end=1> (crops)
            all_points = Concat <axis=0> (batch, points)
            all_scores = Concat <axis=0> (batch, i1)
            landmarks = Expand (expected, all_points)
            scores = Expand (score, all_scores)
        }
        """,
        {
            "points": np.array([5, 2], np.int64),
            "i1": np.array([1], np.int64),
            "expected": SECOND_TEMPLATE[None],
            "score": np.array([[0.9]], np.float32),
        },
    )
    return graph.finish(model, contract.LANDMARKS, _identity("simulated_detector", _candidates()))


def build_embedder() -> ModelProto:
    """Build `face_embedding`: a fixed random projection of the crop's 8 x 8 mean colours.

    Similar crops have similar embeddings.
    """
    features = CELLS * CELLS * 3
    projection = np.random.default_rng(20240613).standard_normal(
        (features, contract.EMBEDDING_SIZE)
    )
    model = graph.join(
        graph.fragment(
            """
            embed (uint8[N, 112, 112, 3] crops) => (float[N, 512] raw) {
                pixels = Cast <to=1> (crops)
                planar = Transpose <perm=[0, 3, 1, 2]> (pixels)
                cells = AveragePool <kernel_shape=[14, 14], strides=[14, 14]> (planar)
                flat = Flatten (cells)
                centred = Sub (flat, mean)
                raw = MatMul (centred, projection)
            }
            """,
            {"mean": np.float32(127.5), "projection": projection.astype(np.float32)},
        ),
        arcface.after(),
        [("raw", "raw")],
    )
    return arcface.finish(model, _identity("simulated_embedder", model))


def _identity(name: str, model: ModelProto) -> str:
    """`name@` and 12 digits of the graph's sha256, computed before the id is added to the graph."""
    digest = hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
    return f"{name}@{digest[:12]}"
