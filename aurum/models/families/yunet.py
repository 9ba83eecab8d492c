"""YuNet: an anchor-free detector, one prior per cell.

Decoding follows Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector" (2023), and OpenCV's
`face_detect.cpp`: score = sqrt(cls * obj), centre = (cell + offset) * stride,
size = exp(log size) * stride, landmark = (cell + offset) * stride.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from aurum.models.families import candidates, graph

HEADS = ("cls", "obj", "bbox", "kps")  # of 1 + 1 + 4 + 10 channels

GATHER = """
    flat_8 = Reshape (head_8, flat)
    flat_16 = Reshape (head_16, flat)
    flat_32 = Reshape (head_32, flat)
    all = Concat <axis=2> (flat_8, flat_16, flat_32)
    logit_cls = Slice (all, i0, i1, i1)
    logit_obj = Slice (all, i1, i2, i1)
    values = Slice (all, i2, i16, i1)
    cls = Sigmoid (logit_cls)
    obj = Sigmoid (logit_obj)
    product = Mul (cls, obj)
    root = Sqrt (product)
    likely = Squeeze (root, i1)
"""

BOX = """
    offset = Slice (raw_box, i0, i2, i1)
    log_size = Slice (raw_box, i2, i4, i1)
    moved_box = Mul (offset, stride)
    middle = Add (moved_box, centre)
    unit_size = Exp (log_size)
    box_size = Mul (unit_size, stride)
    half_size = Mul (box_size, half)
    corner = Sub (middle, half_size)
    box_rows = Concat <axis=1> (corner, box_size)
"""


def build(model: ModelProto) -> ModelProto:
    """Add preprocessing and decoding to the upstream graph.

    `model` takes BGR float32 [N,3,H,W] in 0..255 and returns 12 raw heads.
    """
    net = graph.upstream(model, ["net_input"])
    _read_rgb(net)
    names = [f"head_{stride}" for stride in candidates.STRIDES]
    for name, stride in zip(names, candidates.STRIDES, strict=True):
        _merge_heads(net, [f"net/{head}_{stride}" for head in HEADS], name)
    graph.keep_outputs(net, names, rank=4)
    declared = ", ".join(f"float[N, 16, H_{name}, W_{name}] {name}" for name in names)
    decode = candidates.decoder(declared, GATHER, BOX, anchors=1)
    return candidates.served(net, [(name, name) for name in names], decode)


def _read_rgb(net: ModelProto) -> None:
    """Reverse the input channels of the first convolution, so that it takes RGB at no cost."""
    first = next(node for node in net.graph.node if "net_input" in node.input)
    weights = next(item for item in net.graph.initializer if item.name == first.input[1])
    reversed_channels = numpy_helper.to_array(weights)[:, ::-1].copy()
    weights.CopyFrom(numpy_helper.from_array(reversed_channels, weights.name))


def _merge_heads(net: ModelProto, outputs: list[str], name: str) -> None:
    """Compute the four heads of one level together, as the output `name` [N,16,H,W].

    Each head is a 1x1 convolution of the same features, followed by a depthwise 3x3 one.
    onnxruntime computes channels in blocks of 16, so each head alone costs as much as all four
    together.
    """
    chains = [_convolutions(net, output) for output in outputs]
    (features,) = {points.input[0] for points, _ in chains}
    values = {item.name: numpy_helper.to_array(item) for item in net.graph.initializer}

    def together(convolutions: list[NodeProto], kind: int) -> NDArray[np.float32]:
        return np.concatenate([values[convolution.input[kind]] for convolution in convolutions])

    middle = f"{name}/points"
    for source, target, part, options in (
        (features, middle, 0, {"kernel_shape": [1, 1]}),
        (middle, name, 1, {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "group": 16}),
    ):
        parts = [chain[part] for chain in chains]
        for kind, what in ((1, "weight"), (2, "bias")):
            item = numpy_helper.from_array(together(parts, kind), f"{target}/{what}")
            net.graph.initializer.append(item)
        inputs = [source, f"{target}/weight", f"{target}/bias"]
        net.graph.node.append(helper.make_node("Conv", inputs, [target], **options))


def _convolutions(net: ModelProto, output: str) -> tuple[NodeProto, NodeProto]:
    """Return the 1x1 and the 3x3 convolution that produce a head's output."""
    producers = {name: node for node in net.graph.node for name in node.output}
    node, found = producers[output], list[NodeProto]()
    while len(found) < 2:
        if node.op_type == "Conv":
            found.append(node)
        node = producers[node.input[0]]
    return found[1], found[0]
