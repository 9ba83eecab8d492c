"""The two graphs of a detector: `face_detection` for photos, `face_landmarks` for crops of faces.

Both contain the same upstream net. The second one applies it to a crop and its mirror image, and
returns the landmarks of the face in the middle: the mean of both, which is steadier than either.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, numpy_helper

from aurum import contract
from aurum.imaging.align import SECOND_SIDE, SECOND_TEMPLATE
from aurum.models.families import graph

# A candidate belongs to the face in the middle if its landmarks are this near (in pixels of the
# crop) to the expected ones. Its weight is score ** POWER, so that the most certain one dominates.
NEAR = float(0.6 * np.hypot(*(SECOND_TEMPLATE[1] - SECOND_TEMPLATE[0])))
LEAST_SCORE = 0.5
POWER = 8.0
# Index of each landmark in the mirror image.
MIRRORED = (1, 0, 2, 4, 3)


def finish(model: ModelProto, model_id: str, upright: float) -> ModelProto:
    """Make `face_detection` from a graph of candidates: add the outputs that describe the model.

    `upright` is the manifest's `upright_fit`.
    """
    graph.add_constant(model, "upright", numpy_helper.from_array(np.array([upright], np.float32)))
    return graph.finish(model, contract.DETECTION, model_id)


def landmarks(candidates: ModelProto, model_id: str) -> ModelProto:
    """Make `face_landmarks` from a graph of candidates.

    crops uint8 RGB [N,96,96,3] -> landmarks float32 [N,5,2] in the crops' pixels, and scores [N,1]:
    the best candidate's, mean of crop and mirror image; 0 if neither shows a face in the middle.
    """
    before = graph.fragment(
        """
        mirror (uint8[N, 96, 96, 3] crops) => (uint8[M, 3, 96, 96] both) {
            planes = Transpose <perm=[0, 3, 1, 2]> (crops)
            turned = Slice (planes, last, beyond, columns, one_back)
            both = Concat <axis=0> (planes, turned)
        }
        """,
        {
            "last": np.array([-1], np.int64),
            "beyond": np.array([-SECOND_SIDE - 1], np.int64),
            "columns": np.array([3], np.int64),
            "one_back": np.array([-1], np.int64),
        },
    )
    after = graph.fragment(
        """
        middle (float[M, K, 5, 2] points, float[M, K] likely)
            => (float[N, 5, 2] landmarks, float[N, 1] scores) {
            straight, other = Split <axis=0> (points)
            flipped = Mul (other, flip)
            moved = Add (flipped, width)
            back = Gather <axis=2> (moved, mirrored)
            every = Concat <axis=0> (straight, back)
            off = Sub (every, expected)
            distance = Abs (off)
            farthest = ReduceMax <axes=[2, 3], keepdims=0> (distance)
            is_near = Less (farthest, near)
            is_sure = GreaterOrEqual (likely, least)
            counts = And (is_near, is_sure)
            one_if_counts = Cast <to=1> (counts)
            score = Mul (likely, one_if_counts)
            best = ReduceMax <axes=[1], keepdims=1> (score)
            weight = Pow (score, power)
            total = ReduceSum <keepdims=1> (weight, i1)
            bounded = Max (total, tiny)
            share = Div (weight, bounded)
            shares = Unsqueeze (share, last_two)
            parts = Mul (every, shares)
            mean = ReduceSum <keepdims=0> (parts, i1)
            seen = Greater (best, zero)
            one_if_seen = Cast <to=1> (seen)
            here, there = Split <axis=0> (mean)
            seen_here, seen_there = Split <axis=0> (one_if_seen)
            sum = Add (here, there)
            looks = Add (seen_here, seen_there)
            at_least_one = Max (looks, one)
            divisor = Unsqueeze (at_least_one, i2)
            landmarks = Div (sum, divisor)
            best_here, best_there = Split <axis=0> (best)
            scores_sum = Add (best_here, best_there)
            scores = Mul (scores_sum, half)
        }
        """,
        {
            "flip": np.array([-1, 1], np.float32),
            "width": np.array([SECOND_SIDE - 1, 0], np.float32),
            "mirrored": np.array(MIRRORED, np.int64),
            "expected": SECOND_TEMPLATE[None, None],
            "near": np.float32(NEAR),
            "least": np.float32(LEAST_SCORE),
            "power": np.float32(POWER),
            "tiny": np.float32(1e-12),
            "zero": np.float32(0),
            "one": np.float32(1),
            "half": np.float32(0.5),
            "i1": np.array([1], np.int64),
            "i2": np.array([2], np.int64),
            "last_two": np.array([2, 3], np.int64),
        },
    )
    whole = graph.join(before, graph.prefixed(candidates), [("both", "look/images")])
    fed = [("look/landmarks", "points"), ("look/scores", "likely")]
    whole = graph.join(whole, after, fed, ["landmarks", "scores"])
    return graph.finish(whole, contract.LANDMARKS, model_id)
