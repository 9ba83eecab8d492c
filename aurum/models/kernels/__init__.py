"""Served graphs whose net is one operator of ours (backends/ops), for processors that can run it.

Each keeps the contract of the plain graph of its model, beside which it lies;
docs/design/kernels.md tells which of the two is served. A model that no operator computes has no
such graph.
"""

from __future__ import annotations

from onnx import ModelProto

from aurum import contract
from aurum.models.families import arcface, detector
from aurum.models.kernels import edgeface, yunet
from aurum.models.manifest import Model


def build(name: str, entry: Model, upstream: ModelProto) -> ModelProto | None:
    """The graph served as `name`, by an operator; None where there is none for this model."""
    if entry.family == "yunet":
        if (candidates := yunet.build(upstream)) is None:
            return None
        if name == contract.LANDMARKS:
            return detector.landmarks(candidates, str(entry.id))
        return detector.finish(candidates, str(entry.id), entry.upright_fit)
    if entry.family == "arcface" and entry.input and (net := edgeface.build(upstream, entry.input)):
        return arcface.finish(net, str(entry.id), entry.calibration)
    return None
