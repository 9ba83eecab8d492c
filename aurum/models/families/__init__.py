"""Family adapters: each converts an upstream ONNX file into a served graph.

All detectors have the same contract, and so have all embedders (docs/reference/contract.md), so
the pipelines don't depend on the family. A new family needs one module here and one line below.
"""

from onnx import ModelProto

from aurum import contract
from aurum.models.families import arcface, detector, scrfd, simulated, yunet
from aurum.models.manifest import Model

# Names of the served graphs of each role.
SERVED = {"detector": (contract.DETECTION, contract.LANDMARKS), "embedder": (contract.EMBEDDING,)}
# Functions that turn an upstream graph into a graph of candidates.
_DETECTORS = {"yunet": yunet.build, "scrfd": scrfd.build}
_EMBEDDERS = {"arcface": arcface.build}
_SIMULATED = {
    contract.DETECTION: simulated.build_detector,
    contract.LANDMARKS: simulated.build_landmarks,
    contract.EMBEDDING: simulated.build_embedder,
}


def build(name: str, entry: Model, upstream: ModelProto | None) -> ModelProto:
    """Build the graph served as `name` from a model's upstream graph, which is None if simulated.

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
