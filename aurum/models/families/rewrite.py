"""Exact rewrites of an upstream graph: the same function with fewer passes over memory.

onnxruntime does none of them itself. Each rewrite does nothing if its pattern does not occur, and
the parity check compares the result with the upstream graph (`aurum.models.parity`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from aurum.models.families import graph

_TO_LAST = [0, 2, 3, 1]  # NCHW -> NHWC
_TO_FIRST = [0, 3, 1, 2]


class _View:
    """A graph's constants, and the producer and consumers of each value."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.values = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
        self.maker = {name: node for node in model.graph.node for name in node.output}
        self.takers: dict[str, list[NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self.takers.setdefault(name, []).append(node)

    def constant_and_other(self, node: NodeProto) -> tuple[str, str] | None:
        """Return the two inputs of a node, its constant first; None if it has no constant."""
        first, second = node.input
        if second in self.values:
            return second, first
        return (first, second) if first in self.values else None

    def only_maker(self, name: str, kind: str) -> NodeProto | None:
        """Return the node of type `kind` that produces `name`, if `name` has one consumer."""
        node = self.maker.get(name)
        alone = len(self.takers.get(name, ())) == 1
        return node if node is not None and node.op_type == kind and alone else None

    def add(self, name: str, value: NDArray[np.float32]) -> str:
        self.model.graph.initializer.append(numpy_helper.from_array(value, name))
        return name


def fold_normalization(net: ModelProto, mean: float, std: float) -> bool:
    """Fold the normalization of pixels from 0 to 255 into the first convolution of `net_input`.

    This needs a convolution without padding, because a padded 0 means the mean, not black. Returns
    whether the normalization was folded.
    """
    view = _View(net)
    (first, *others) = view.takers["net_input"]
    attributes = {item.name: item for item in first.attribute}
    padded = "pads" in attributes and any(attributes["pads"].ints)
    automatic = "auto_pad" in attributes and attributes["auto_pad"].s not in (b"NOTSET", b"VALID")
    if others or first.op_type != "Conv" or padded or automatic:
        return False
    weights = view.values[first.input[1]] / np.float32(std)
    has_bias = len(first.input) > 2
    bias = view.values[first.input[2]] if has_bias else np.zeros(len(weights), np.float32)
    shifted = bias - mean * weights.sum(axis=(1, 2, 3), dtype=np.float64)
    inputs = ["net_input", view.add("scaled/weight", weights)]
    inputs.append(view.add("scaled/bias", shifted.astype(np.float32)))
    first.input[:] = inputs
    graph.prune(net)
    return True


def fold_scales(net: ModelProto) -> None:
    """(x W + b) * g -> x (W g) + b g: the layer scale of ConvNeXt and similar networks."""
    view = _View(net)
    for node in net.graph.node:
        if node.op_type != "Mul" or not (arms := view.constant_and_other(node)):
            continue
        scale, scaled = arms
        add = view.only_maker(scaled, "Add")
        if add is None or not (arms := view.constant_and_other(add)):
            continue
        bias, product = arms
        multiply = view.only_maker(product, "MatMul")
        factor = view.values[scale].reshape(-1)
        weights = None if multiply is None else view.values.get(multiply.input[1])
        if multiply is None or weights is None or factor.size != weights.shape[-1]:
            continue
        name = node.output[0]
        multiply.input[1] = view.add(f"{name}/weight", weights * factor)
        add.input[:] = [product, view.add(f"{name}/bias", view.values[bias] * factor)]
        for taker in view.takers[name]:
            taker.input[:] = [scaled if item == name else item for item in taker.input]
    graph.prune(net)


def residuals_channels_last(net: ModelProto) -> None:
    """x + Transpose(y) -> Transpose(Transpose(x) + y).

    The transpositions at the end of one block and the start of the next are then adjacent and
    cancel out.
    """
    view = _View(net)
    nodes = list[NodeProto]()
    for node in net.graph.node:
        turned = [view.only_maker(name, "Transpose") for name in node.input]
        side = next(
            (i for i, item in enumerate(turned) if item and item.attribute[0].ints == _TO_FIRST),
            None,
        )
        if node.op_type != "Add" or side is None:
            nodes.append(node)
            continue
        name, other, last = node.output[0], node.input[1 - side], turned[side]
        assert last is not None
        nodes += [
            helper.make_node("Transpose", [other], [f"{name}/other"], perm=_TO_LAST),
            helper.make_node("Add", [f"{name}/other", last.input[0]], [f"{name}/last"]),
            helper.make_node("Transpose", [f"{name}/last"], [name], perm=_TO_FIRST),
        ]
    graph.replace_nodes(net, nodes)
    graph.prune(net)
