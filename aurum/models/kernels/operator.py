"""Common parts of the graphs with our own operators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper

from aurum.models.families import graph

DOMAIN = "aurum"
# Version of the operators' weights and attributes; must equal FORMAT in backends/ops/ops.cc.
FORMAT = 1


def fragment(
    text: str, weights: Mapping[str, NDArray[Any]], attributes: Mapping[str, Any]
) -> ModelProto:
    """Parse a graph in ONNX text syntax, of one custom operator; add its weights and attributes."""
    model = graph.fragment(text, weights)
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    (node,) = model.graph.node
    node.domain = DOMAIN
    for name, value in {**attributes, "format": FORMAT}.items():
        node.attribute.append(helper.make_attribute(name, value))
    return model


class Weights:
    """Collects an upstream graph's weights in the order in which an operator reads them."""

    def __init__(self, model: ModelProto) -> None:
        self.values = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
        self._floats: list[NDArray[np.float32]] = []
        self._whole: list[NDArray[np.int8]] = []

    def put(self, *values: NDArray[Any]) -> None:
        """Append `values`, each row by row."""
        self._floats += [np.asarray(value, np.float32).reshape(-1) for value in values]

    def put_whole(self, values: NDArray[np.int8]) -> None:
        """Append integer weights, row by row."""
        self._whole.append(values.reshape(-1))

    @property
    def floats(self) -> NDArray[np.float32]:
        """All float weights so far."""
        return np.concatenate(self._floats)

    @property
    def whole(self) -> NDArray[np.int8]:
        """All integer weights so far."""
        return np.concatenate([np.zeros(0, np.int8), *self._whole])
