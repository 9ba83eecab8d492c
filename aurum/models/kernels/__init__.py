"""Served graphs whose net is one of our own operators (backends/ops).

Each has the same contract as the plain graph of its model and is stored beside it;
docs/design/kernels.md explains which of the two is served. A model without an operator has no such
graph.
"""

from __future__ import annotations

from onnx import ModelProto

from aurum import contract
from aurum.models.families import arcface, detector, graph
from aurum.models.kernels import edgeface, yunet
from aurum.models.manifest import Model


def build(name: str, entry: Model, upstream: ModelProto) -> ModelProto | None:
    """Build the graph served as `name` with our operator; None if this model has none."""
    if entry.family == "yunet":
        if name == contract.LANDMARKS:
            second_look = yunet.build_second_look(upstream)
            return second_look and graph.finish(second_look, name, str(entry.id))
        candidates = yunet.build(upstream)
        return candidates and detector.finish(candidates, str(entry.id), entry.upright_fit)
    if entry.family == "arcface" and entry.input and (net := edgeface.build(upstream, entry.input)):
        return arcface.finish(net, str(entry.id), entry.calibration)
    return None
