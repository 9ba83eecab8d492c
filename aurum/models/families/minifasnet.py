"""MiniFASNet: two small networks that tell a face from its photo on paper or on a screen.

Minivision's Silent-Face-Anti-Spoofing trains one on the face and some of its surroundings, the
other on more of them. They are published as PyTorch checkpoints, so the graph is drawn here, layer
by layer, with each batch normalization folded into the convolution before it. Their blocks are
MobileFaceNet's (Chen et al., 2018), pruned; `MiniFASNetV1SE` has squeeze-and-excitation (Hu et al.,
2018) in the last block of each stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, compose

from aurum import contract
from aurum.models.families import graph
from aurum.models.families.checkpoint import Tensors

# PyTorch's default for batch normalization.
_EPSILON = 1e-5
# Of three classes. The other two are attacks; upstream doesn't say how they differ.
_REAL = 1
# The stages: a block that halves the sides, then residual blocks.
_STAGES = (("conv_23", "conv_3"), ("conv_34", "conv_4"), ("conv_45", "conv_5"))
_INPUTS = tuple(contract.MODEL_INPUTS[contract.LIVENESS])


class _Folded(NamedTuple):
    """A layer's weights with the batch normalization after it folded in."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


def _fold(tensors: Tensors, layer: str, norm: str) -> _Folded:
    """Fold the batch normalization `norm` into the layer before it. Raises KeyError."""
    scale = tensors[f"{norm}.weight"] / np.sqrt(tensors[f"{norm}.running_var"] + _EPSILON)
    weight = tensors[f"{layer}.weight"]
    return _Folded(
        weight * scale.reshape(-1, *[1] * (weight.ndim - 1)),
        tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale,
    )


def _blocks(tensors: Tensors, stage: str) -> list[str]:
    """List the residual blocks of a stage, in order."""
    numbers = {int(name.split(".")[2]) for name in tensors if name.startswith(f"{stage}.model.")}
    return [f"{stage}.model.{number}" for number in sorted(numbers)]


def build(checkpoints: Mapping[str, Tensors], model_id: str) -> ModelProto:
    """Build `face_liveness` from both checkpoints, by the name of the input that each reads.

    Raises BuildError if a checkpoint lacks a tensor of the network.
    """
    near, wide = (_Network(checkpoints[name]).draw(name) for name in _INPUTS)
    both = graph.join(near, wide, [])
    whole = graph.join(both, _mean(), [(f"{name}/real", f"{name}_real") for name in _INPUTS])
    return graph.finish(whole, contract.LIVENESS, model_id)


def _before(name: str) -> ModelProto:
    """uint8 RGB [N,80,80,3] -> float32 BGR [N,3,80,80], 0..255: upstream doesn't scale pixels."""
    side = contract.LIVENESS_SIDE
    return graph.fragment(
        f"""
        before (uint8[N, {side}, {side}, 3] {name}) => (float[N, 3, {side}, {side}] pixels) {{
            rgb = Transpose <perm=[0, 3, 1, 2]> ({name})
            bgr = Gather <axis=1> (rgb, reverse)
            pixels = Cast <to=1> (bgr)
        }}
        """,
        {"reverse": np.array([2, 1, 0], np.int64)},
    )


def _mean() -> ModelProto:
    """The mean of both networks' probabilities, as `liveness` [N,1]."""
    first, second = (f"{name}_real" for name in _INPUTS)
    return graph.fragment(
        f"""
        mean (float[N, 1] {first}, float[N, 1] {second}) => (float[N, 1] liveness) {{
            sum = Add ({first}, {second})
            liveness = Mul (sum, half)
        }}
        """,
        {"half": np.float32(0.5)},
    )


class _Network:
    """Draws one network as ONNX nodes."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._lines: list[str] = []
        self._constants: dict[str, NDArray[np.float32]] = {}

    def draw(self, name: str) -> ModelProto:
        """Return the graph from the input `name` to `real` [N,1], the probability of that class."""
        try:
            return self._draw(name)
        except KeyError as error:
            raise graph.BuildError(f"the checkpoint of {name} has no tensor {error}") from error

    def _draw(self, name: str) -> ModelProto:
        value = self._convolution("pixels", "conv1", stride=2, padding=1)
        value = self._convolution(value, "conv2_dw", padding=1)
        for halving, stage in _STAGES:
            value = self._block(value, halving, stride=2)
            for block in _blocks(self._tensors, stage):
                value = self._residual(value, block)
        value = self._convolution(value, "conv_6_sep")
        value = self._convolution(value, "conv_6_dw")
        flat = self._node("Flatten", [value])
        linear = _fold(self._tensors, "linear", "bn")
        features = self._node(
            "Gemm <transB=1>", [flat, self._constant(linear.weight), self._constant(linear.bias)]
        )
        classes = self._constant(self._tensors["prob.weight"].T)
        logits = self._node("MatMul", [features, classes])
        chances = self._node("Softmax <axis=1>", [logits])
        self._lines.append(f"real = Slice ({chances}, from_real, to_real, class_axis)")
        side = contract.LIVENESS_SIDE
        net = graph.fragment(
            f"net (float[N, 3, {side}, {side}] pixels) => (float[N, 1] real) {{\n"
            + "\n".join(self._lines)
            + "\n}",
            {
                **self._constants,
                "from_real": np.array([_REAL], np.int64),
                "to_real": np.array([_REAL + 1], np.int64),
                "class_axis": np.array([1], np.int64),
            },
        )
        whole = graph.join(_before(name), net, [("pixels", "pixels")])
        return compose.add_prefix(whole, f"{name}/", rename_inputs=False)

    def _convolution(self, value: str, name: str, stride: int = 1, padding: int = 0) -> str:
        """Convolution, batch normalization and, where the checkpoint has one, PReLU.

        With a single input channel per filter, the convolution is depthwise.
        """
        weight, bias = _fold(self._tensors, f"{name}.conv", f"{name}.bn")
        group = len(weight) if weight.shape[1] == 1 else 1
        value = self._node(
            f"Conv <strides=[{stride}, {stride}], group={group}, "
            f"pads=[{padding}, {padding}, {padding}, {padding}]>",
            [value, self._constant(weight), self._constant(bias)],
        )
        if f"{name}.prelu.weight" not in self._tensors:
            return value
        slopes = self._constant(self._tensors[f"{name}.prelu.weight"].reshape(-1, 1, 1))
        return self._node("PRelu", [value, slopes])

    def _block(self, value: str, name: str, stride: int = 1) -> str:
        value = self._convolution(value, f"{name}.conv")
        value = self._convolution(value, f"{name}.conv_dw", stride=stride, padding=1)
        return self._convolution(value, f"{name}.project")

    def _residual(self, value: str, name: str) -> str:
        inner = self._block(value, name)
        if f"{name}.se_module.fc1.weight" in self._tensors:
            inner = self._excitation(inner, f"{name}.se_module")
        return self._node("Add", [value, inner])

    def _excitation(self, value: str, name: str) -> str:
        """Squeeze and excitation: weigh the channels by what their means say."""
        weights = self._node("GlobalAveragePool", [value])
        for number, activation in ((1, "Relu"), (2, "Sigmoid")):
            weight, bias = _fold(self._tensors, f"{name}.fc{number}", f"{name}.bn{number}")
            weights = self._node("Conv", [weights, self._constant(weight), self._constant(bias)])
            weights = self._node(activation, [weights])
        return self._node("Mul", [value, weights])

    def _node(self, operator: str, inputs: Sequence[str]) -> str:
        output = f"v{len(self._lines)}"
        self._lines.append(f"{output} = {operator} ({', '.join(inputs)})")
        return output

    def _constant(self, value: NDArray[np.float32]) -> str:
        name = f"c{len(self._constants)}"
        self._constants[name] = np.ascontiguousarray(value)
        return name
