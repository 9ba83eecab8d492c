"""EdgeFace as one operator: from crops to embeddings of length 1.

In the checkpoints published as quantized, the weights of the MLPs are integers times a scale. The
operator gets these integers, which are exact and faster to multiply.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto

from aurum.models.kernels.operator import Weights, fragment
from aurum.models.manifest import InputFacts

STAGES = 4
# Allowed rounding error of an integer weight times the scale, relative to the largest weight.
WHOLE = 1e-6


def build(model: ModelProto, facts: InputFacts) -> ModelProto | None:
    """Build a graph of `embedding` and `norm`, equivalent to `families.arcface.build`.

    None for a graph that is not EdgeFace, or that has other weight names.
    """
    if model.graph.input[0].type.tensor_type.shape.dim[-1].dim_value != 112:
        return None
    net = _Net(model)
    try:
        channels, blocks = net.read(facts)
    except (KeyError, StopIteration):  # it has no weights by these names
        return None
    weights = net.weights
    return fragment(
        """
        embed (uint8[N, 112, 112, 3] crops) => (float[N, 512] embedding, float[N, 1] norm) {
            embedding, norm = EdgeFace (crops, weights, whole)
        }
        """,
        {"weights": weights.floats, "whole": weights.whole},
        {"channels": channels, "blocks": blocks},
    )


class _Net:
    def __init__(self, model: ModelProto) -> None:
        self._model = model
        self.weights = Weights(model)
        self._named = self.weights.values
        self._products = {
            _plain(node.name): self._named[node.input[1]]
            for node in model.graph.node
            if node.op_type == "MatMul" and node.input[1] in self._named
        }
        # Integer weights are used only if all MLPs have them.
        self._whole = all(
            _whole(value) is not None for name, value in self._products.items() if "mlp" in name
        )

    def read(self, facts: InputFacts) -> tuple[list[int], list[int]]:
        """Put all weights in order; return each stage's channels and blocks without attention."""
        named, weights = self._named, self.weights
        # Pixels from 0 to 255, R first: (x - mean) / std is folded into the stem, which has no
        # padding.
        stem = named["stem.0.weight"].astype(np.float64) / facts.std
        bias = named["stem.0.bias"] - facts.mean * stem.sum(axis=(1, 2, 3))
        if facts.color == "BGR":
            stem = stem[:, ::-1]
        weights.put(stem.transpose(2, 3, 1, 0), bias)
        self._norm("stem.1")
        channels, blocks = list[int](), list[int]()
        for stage in range(STAGES):
            if stage:
                down = f"stages.{stage}.downsample"
                self._norm(f"{down}.0")
                weights.put(named[f"{down}.1.weight"].transpose(2, 3, 1, 0))
                weights.put(named[f"{down}.1.bias"])
            count = 0
            while f"stages.{stage}.blocks.{count}.conv_dw.weight" in named:
                self._depthwise(f"stages.{stage}.blocks.{count}.conv_dw")
                self._mlp(f"stages.{stage}.blocks.{count}")
                count += 1
            if stage:
                self._attention(stage, f"stages.{stage}.blocks.{count}")
            channels.append(len(named[f"stages.{stage}.blocks.0.norm.weight"]))
            blocks.append(count)
        self._norm("head.norm")
        weights.put(named["head.fc.weight"].T, named["head.fc.bias"])
        return channels, blocks

    def _norm(self, name: str) -> None:
        self.weights.put(self._named[f"{name}.weight"], self._named[f"{name}.bias"])

    def _depthwise(self, name: str) -> None:
        weight = self._named[f"{name}.weight"]
        self.weights.put(weight.reshape(len(weight), -1).T, self._named[f"{name}.bias"])

    def _mlp(self, block: str) -> None:
        """Put an MLP's weights; the second layer includes the block's residual scale."""
        named = self._named
        self._norm(f"{block}.norm")
        for layer, scale in (("fc1", np.float32(1)), ("fc2", named[f"{block}.gamma"])):
            weight = self._products[f"{block}.mlp.{layer}"]
            bias = named[f"{block}.mlp.{layer}.bias"] * scale
            if self._whole:
                found = _whole(weight)
                assert found is not None
                whole, unit = found
                self.weights.put_whole(whole)
                self.weights.put(np.broadcast_to(unit * scale, bias.shape), bias)
            else:
                self.weights.put(weight * scale, bias)

    def _attention(self, stage: int, block: str) -> None:
        named, weights = self._named, self.weights
        for part in range(stage):
            self._depthwise(f"{block}.convs.{part}")
        if stage == 1:
            weights.put(self._positions(f"{block}.pos_embd.token_projection.weight"))
        self._norm(f"{block}.norm_xca")
        weights.put(self._products[f"{block}.xca.qkv"], named[f"{block}.xca.qkv.bias"])
        gamma = named[f"{block}.gamma_xca"]
        weights.put(self._products[f"{block}.xca.proj"] * gamma)
        weights.put(named[f"{block}.xca.proj.bias"] * gamma)
        weights.put(named[f"{block}.xca.temperature"])
        self._mlp(block)

    def _positions(self, projection: str) -> NDArray[Any]:
        """Compute the positional encoding, [tokens][channels].

        It is a constant, but the upstream graph computes it for each photo.
        """
        model = ModelProto.FromString(self._model.SerializeToString())
        name = next(node.output[0] for node in model.graph.node if projection in node.input)
        model.graph.output.append(onnx.ValueInfoProto(name=name))
        session = ort.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        nothing = np.zeros((1, 3, 112, 112), np.float32)
        (value,) = session.run([name], {session.get_inputs()[0].name: nothing})
        return value.reshape(value.shape[1], -1).T  # type: ignore[no-any-return]


def _plain(node: str) -> str:
    """``/stages/stages.1/blocks/blocks.2/mlp/fc1/MatMul`` -> ``stages.1.blocks.2.mlp.fc1``."""
    *path, _ = node.strip("/").split("/")
    return ".".join(part for part in path if part not in ("stages", "blocks"))


def _whole(weight: NDArray[Any]) -> tuple[NDArray[np.int8], np.float32] | None:
    """Split `weight` into 8-bit integers and their unit; None if that is not possible."""
    largest = float(np.abs(weight).max())
    for count in (127, 128):
        unit = np.float32(largest / count) if largest else np.float32(1)
        numbers = np.rint(weight / unit)
        off = np.abs(numbers * unit - weight).max()
        if off <= WHOLE * largest and numbers.min() >= -128 and numbers.max() <= 127:
            return numbers.astype(np.int8), unit
    return None
