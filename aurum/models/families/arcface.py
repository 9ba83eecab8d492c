"""Embedders of aligned 112x112 crops: ArcFace, EdgeFace and similar models.

They differ only in the normalization of the crop, which the manifest states for each model.
"""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
from onnx import ModelProto, numpy_helper

from aurum import contract
from aurum.models.calibrations import Calibration
from aurum.models.families import graph, rewrite
from aurum.models.manifest import InputFacts, Model

CALIBRATED = 6  # numbers in a calibration; see calibrations.Calibration.row


def build(model: ModelProto, entry: Model, model_id: str) -> ModelProto:
    """Add normalization before and L2 normalization after the upstream graph.

    `model` takes float32 [N,3,112,112] as described by the manifest's input facts and returns
    [N,512], whatever batch size it declares.

    Raises BuildError for another number of dimensions, because the public contract requires 512.
    """
    columns = _columns(model)
    if columns != contract.EMBEDDING_SIZE:
        raise graph.BuildError(
            f"{entry.name} gives {columns} dimensions; the contract needs {contract.EMBEDDING_SIZE}"
        )
    output = model.graph.output[0].name
    net = graph.upstream(model, ["net_input"])
    assert entry.input is not None
    folded = rewrite.fold_normalization(net, entry.input.mean, entry.input.std)
    rewrite.fold_scales(net)
    rewrite.residuals_channels_last(net)
    whole = graph.join(_before(entry.input, normalize=not folded), net, [("pixels", "net_input")])
    whole = graph.join(whole, after(), [(f"net/{output}", "raw")])
    return finish(whole, model_id, entry.calibration)


def _columns(model: ModelProto) -> int:
    """Return the length of the embeddings; some graphs only show it when they run."""
    dimensions = model.graph.output[0].type.tensor_type.shape.dim
    if dimensions and dimensions[-1].dim_value:
        return int(dimensions[-1].dim_value)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    face = np.zeros((1, 3, 112, 112), np.float32)
    return int(session.run(None, {session.get_inputs()[0].name: face})[0].shape[-1])


def finish(model: ModelProto, model_id: str, calibration: Calibration | None = None) -> ModelProto:
    """Add the outputs that describe an embedder: its id, and its `calibration` [N,6].

    The calibration is an output for the same reason as the id (graph.finish). NaN: not calibrated.
    """
    row = calibration.row if calibration else (float("nan"),) * CALIBRATED
    graph.add_constant(model, "calibration", numpy_helper.from_array(np.array(row, np.float32)))
    return graph.finish(model, contract.EMBEDDING, model_id)


def _before(wanted: InputFacts, *, normalize: bool) -> ModelProto:
    """uint8 RGB [N,112,112,3] -> float32 [N,3,112,112] in the model's channel order and range."""
    flip = wanted.color == "BGR"
    raw = "raw" if normalize else "pixels"
    planar = "rgb = Transpose <perm=[0, 3, 1, 2]> (crops)"
    if flip:
        planar += "\nplanar = Gather <axis=1> (rgb, reverse)"
    return graph.fragment(
        f"""
        before (uint8[N, 112, 112, 3] crops) => (float[N, 3, 112, 112] pixels) {{
            {planar}
            {raw} = Cast <to=1> ({"planar" if flip else "rgb"})
            {"centred = Sub (raw, mean) pixels = Div (centred, std)" if normalize else ""}
        }}
        """,
        {
            "mean": np.float32(wanted.mean),
            "std": np.float32(wanted.std),
            **({"reverse": np.array([2, 1, 0], np.int64)} if flip else {}),
        },
    )


def after() -> ModelProto:
    """raw [N,512] -> `embedding` of length 1, and `norm` [N,1], the length of `raw`."""
    return graph.fragment(
        """
        after (float[N, 512] raw) => (float[N, 512] embedding, float[N, 1] norm) {
            norm = ReduceL2 <axes=[1], keepdims=1> (raw)
            bounded = Max (norm, tiny)
            embedding = Div (raw, bounded)
        }
        """,
        {"tiny": np.float32(1e-12)},
    )
