"""Reference results of MiniFASNet for the parity check: a checkpoint evaluated in NumPy.

This code is deliberately independent of the served graph: it convolves by sums over windows in
double precision, and applies each batch normalization as it is defined, without folding it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from aurum.models.families.checkpoint import Tensors

_STAGES = {"conv_23": "conv_3", "conv_34": "conv_4", "conv_45": "conv_5"}
_EPSILON = 1e-5

Values = NDArray[np.float64]


def real(tensors: Tensors, crop: NDArray[np.uint8]) -> float:
    """Return the probability that an RGB crop [80,80,3] shows a real face, 0..1."""
    value = crop[..., ::-1].astype(np.float64).transpose(2, 0, 1)
    for name, stride in (("conv1", 2), ("conv2_dw", 1)):
        value = _layer(tensors, value, name, stride, 1)
    for first, stage in _STAGES.items():
        value = _block(tensors, value, first, 2)
        number = 0
        while f"{stage}.model.{number}.project.conv.weight" in tensors:
            name = f"{stage}.model.{number}"
            inner = _block(tensors, value, name, 1)
            if f"{name}.se_module.fc1.weight" in tensors:
                inner = inner * _excitation(tensors, inner, f"{name}.se_module")
            value = value + inner
            number += 1
    for name in ("conv_6_sep", "conv_6_dw"):
        value = _layer(tensors, value, name, 1, 0)
    features = tensors["linear.weight"].astype(np.float64) @ value.reshape(-1)
    features = _normalized(tensors, features[:, None, None], "bn")[:, 0, 0]
    logits = tensors["prob.weight"].astype(np.float64) @ features
    chances = np.exp(logits - logits.max())
    return float(chances[1] / chances.sum())


def _block(tensors: Tensors, value: Values, name: str, stride: int) -> Values:
    value = _layer(tensors, value, f"{name}.conv", 1, 0)
    value = _layer(tensors, value, f"{name}.conv_dw", stride, 1)
    return _layer(tensors, value, f"{name}.project", 1, 0)


def _layer(tensors: Tensors, value: Values, name: str, stride: int, padding: int) -> Values:
    value = _convolved(value, tensors[f"{name}.conv.weight"], stride, padding)
    value = _normalized(tensors, value, f"{name}.bn")
    slopes = tensors.get(f"{name}.prelu.weight")
    return value if slopes is None else np.where(value > 0, value, value * slopes[:, None, None])


def _excitation(tensors: Tensors, value: Values, name: str) -> Values:
    means = value.mean(axis=(1, 2), keepdims=True)
    hidden = _normalized(tensors, _convolved(means, tensors[f"{name}.fc1.weight"]), f"{name}.bn1")
    gates = _convolved(np.maximum(hidden, 0), tensors[f"{name}.fc2.weight"])
    return np.asarray(1 / (1 + np.exp(-_normalized(tensors, gates, f"{name}.bn2"))))


def _convolved(value: Values, weight: NDArray[Any], stride: int = 1, padding: int = 0) -> Values:
    """Convolve [C,H,W] with [O,C,k,k], or depthwise with [C,1,k,k]."""
    padded = np.pad(value, ((0, 0), (padding, padding), (padding, padding)))
    side = weight.shape[2]
    windows = sliding_window_view(padded, (1, side, side))[:, ::stride, ::stride, 0]
    if weight.shape[1] == 1:
        return np.asarray(np.einsum("chwij,cij->chw", windows, weight[:, 0]))
    return np.tensordot(weight, windows, axes=((1, 2, 3), (0, 3, 4)))


def _normalized(tensors: Tensors, value: Values, name: str) -> Values:
    mean, variance, weight, bias = (
        tensors[f"{name}.{part}"].astype(np.float64)[:, None, None]
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return np.asarray((value - mean) / np.sqrt(variance + _EPSILON) * weight + bias)
