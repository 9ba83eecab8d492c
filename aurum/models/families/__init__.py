"""Family adapters: each turns an upstream ONNX file into a served graph.

Every detector is served under one contract, and so is every embedder (docs/reference/contract.md),
so the pipelines never know which family answers. A new family is one module here and one line
below.
"""

from onnx import ModelProto

from aurum import contract
from aurum.models.families import arcface, detector, scrfd, simulated, yunet
from aurum.models.manifest import Model

# What each role serves, by name.
SERVED = {"detector": (contract.DETECTION, contract.LANDMARKS), "embedder": (contract.EMBEDDING,)}
# From the upstream graph to a graph of candidates.
_DETECTORS = {"yunet": yunet.build, "scrfd": scrfd.build}
_EMBEDDERS = {"arcface": arcface.build}
_SIMULATED = {
    contract.DETECTION: simulated.build_detector,
    contract.LANDMARKS: simulated.build_landmarks,
    contract.EMBEDDING: simulated.build_embedder,
}


def build(name: str, entry: Model, upstream: ModelProto | None) -> ModelProto:
    """The graph served as `name`, of a model and its upstream graph; None: it is simulated.

    Raises BuildError for a model that breaks the contract.
    """
    if upstream is None:
        return _SIMULATED[name]()
    model_id = str(entry.id)
    if entry.role == "embedder":
        return _EMBEDDERS[entry.family](upstream, entry, model_id)
    candidates = _DETECTORS[entry.family](upstream)
    if name == contract.LANDMARKS:
        return detector.landmarks(candidates, model_id)
    return detector.finish(candidates, model_id, entry.upright_fit)
