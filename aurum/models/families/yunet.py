"""YuNet: an anchor-free detector, one prior a cell.

Decoding after Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector" (2023) and OpenCV's
`face_detect.cpp`: score = sqrt(cls * obj), centre = (cell + offset) * stride,
size = exp(log size) * stride, landmark = (cell + offset) * stride.
"""

from __future__ import annotations

from onnx import ModelProto, numpy_helper

from aurum.models.families import candidates, graph
from aurum.models.manifest import Model

HEADS = ("cls", "obj", "bbox", "kps")

SCORE = """
    sure_cls = Clip (cls, zero, one)
    sure_obj = Clip (obj, zero, one)
    product = Mul (sure_cls, sure_obj)
    raw_scores = Sqrt (product)
"""

BOX = """
    offset = Slice (raw_box, i0, i2, i2)
    log_size = Slice (raw_box, i2, i4, i2)
    moved_box = Mul (offset, stride)
    middle = Add (moved_box, centre)
    unit_size = Exp (log_size)
    box_size = Mul (unit_size, stride)
    half_size = Mul (box_size, half)
    corner = Sub (middle, half_size)
    boxes = Concat <axis=2> (corner, box_size)
"""


def build(model: ModelProto, entry: Model, model_id: str) -> ModelProto:
    """Fold preprocessing and decoding into the upstream graph (contract: docs/contract.md).

    `model` takes BGR float32 [N,3,H,W] in 0..255 and gives 12 raw heads.
    """
    net = graph.upstream(model, ["net_input"])
    _read_rgb(net)
    heads = {head: (f"{head}_8", f"{head}_16", f"{head}_32") for head in HEADS}
    decode = candidates.decoder(HEADS, SCORE, BOX, anchors=1)
    return candidates.served(net, heads, decode, model_id)


def _read_rgb(net: ModelProto) -> None:
    """Reverse the input channels of the first convolution: RGB in, at no cost at run time."""
    first = next(node for node in net.graph.node if "net_input" in node.input)
    weights = next(item for item in net.graph.initializer if item.name == first.input[1])
    reversed_channels = numpy_helper.to_array(weights)[:, ::-1].copy()
    weights.CopyFrom(numpy_helper.from_array(reversed_channels, weights.name))
