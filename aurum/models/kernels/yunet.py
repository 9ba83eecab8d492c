"""YuNet as one operator: from a photo to candidates, or from crops of faces to landmarks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto

from aurum.imaging.align import SECOND_TEMPLATE
from aurum.imaging.faces import LISTED, LISTED_SCORE
from aurum.models.families import candidates, detector
from aurum.models.families.yunet import HEADS
from aurum.models.kernels.operator import Weights, fragment

CHAIN = 11  # units between the stem and the top-down path


def build(model: ModelProto) -> ModelProto | None:
    """Build a graph of candidates, equivalent to that of `families.yunet.build`.

    None for a graph that is not YuNet-s or YuNet-n.
    """
    return _fragment(
        model,
        """
        detect (uint8[N, 3, H, W] images)
            => (float[N, K, 4] boxes, float[N, K, 5, 2] landmarks, float[N, K] scores) {
            boxes, landmarks, scores = YuNet (images, weights)
        }
        """,
        {"least": LISTED, "sure": float(LISTED_SCORE)},
    )


def build_second_look(model: ModelProto) -> ModelProto | None:
    """Build a graph of landmarks, equivalent to that of `families.detector.landmarks`.

    None for a graph that is not YuNet-s or YuNet-n.
    """
    return _fragment(
        model,
        """
        look (uint8[N, 96, 96, 3] crops) => (float[N, 5, 2] landmarks, float[N, 1] scores) {
            landmarks, scores = YuNetSecondLook (crops, weights)
        }
        """,
        {
            "least": 1,
            "sure": detector.LEAST_SCORE,
            "expected": SECOND_TEMPLATE.ravel().tolist(),
            "near": detector.NEAR,
            "power": detector.POWER,
        },
    )


def _fragment(model: ModelProto, text: str, attributes: Mapping[str, Any]) -> ModelProto | None:
    """Parse a graph of one operator; add the net's weights in order, and its own attributes."""
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    weights = Weights(model)
    heads = len(HEADS) * len(candidates.STRIDES)
    # If the heads share features, there are three more units.
    shared = {1 + 2 * (CHAIN + 3 + heads): False, 1 + 2 * (CHAIN + 6 + heads): True}
    if len(convolutions) not in shared:
        return None
    has_shared = shared[len(convolutions)]
    stem, *units = convolutions
    weight, bias = (weights.values[name] for name in stem.input[1:])
    # To [plane][row][column][channel], with planes in the order R, G, B.
    weights.put(weight[:, ::-1].transpose(1, 2, 3, 0), bias)
    pairs = list(zip(units[::2], units[1::2], strict=True))
    trunk = CHAIN + len(candidates.STRIDES)
    for pair in pairs[:trunk]:
        _put(weights, [pair])
    makers = {name: node for node in model.graph.node for name in node.output}
    for level, stride in enumerate(candidates.STRIDES):
        if has_shared:
            _put(weights, [pairs[trunk + level]])
        _put(weights, [_head(makers, pairs, f"{head}_{stride}") for head in HEADS])
    middle = weights.values[units[4].input[1]].shape[0]  # of the third unit
    net = {
        "middle": int(middle),
        "shared": int(has_shared),
        "longest_side": candidates.MOST_SIDE,
    }
    return fragment(text, {"weights": weights.floats}, {**net, **attributes})


def _put(weights: Weights, pairs: list[tuple[NodeProto, NodeProto]]) -> None:
    """Put one unit, or several parallel ones as one: weights [in][out], and [3 x 3][out]."""
    values = [
        np.concatenate([weights.values[pair[part].input[kind]] for pair in pairs])
        for part in (0, 1)
        for kind in (1, 2)
    ]
    point, point_bias, depthwise, bias = values
    weights.put(point[:, :, 0, 0].T, point_bias, depthwise.reshape(len(depthwise), 9).T, bias)


def _head(
    makers: dict[str, NodeProto], pairs: list[tuple[NodeProto, NodeProto]], output: str
) -> tuple[NodeProto, NodeProto]:
    """Return the two convolutions that produce an upstream output."""
    node = makers[output]
    while node.op_type != "Conv":
        node = makers[node.input[0]]
    return next(pair for pair in pairs if pair[1].output[0] == node.output[0])
