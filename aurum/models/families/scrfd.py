"""SCRFD: two anchors per cell, boxes as distances to the four sides.

Decoding follows Guo et al., "Sample and Computation Redistribution for Efficient Face Detection"
(2021), and InsightFace's `scrfd.py`: distances and landmark offsets from the cell are in strides.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, numpy_helper

from aurum.models.families import candidates, graph

LEVELS = 3
HEADS = ("score", "bbox", "kps")

GATHER = """
    score = Concat <axis=1> (score_0, score_1, score_2)
    bbox = Concat <axis=1> (bbox_0, bbox_1, bbox_2)
    kps = Concat <axis=1> (kps_0, kps_1, kps_2)
    likely = Squeeze (score, i2)
    columns = Concat <axis=2> (bbox, kps)
    values = Transpose <perm=[0, 2, 1]> (columns)
"""

BOX = """
    distance = Mul (raw_box, stride)
    left_top = Slice (distance, i0, i2, i1)
    right_bottom = Slice (distance, i2, i4, i1)
    corner = Sub (centre, left_top)
    box_size = Add (left_top, right_bottom)
    box_rows = Concat <axis=1> (corner, box_size)
"""


def build(model: ModelProto) -> ModelProto:
    """Add preprocessing, decoding and a batch dimension to the upstream graph.

    `model` takes RGB float32 [1,3,H,W], (x - 127.5) / 128, and returns scores, boxes and landmarks
    for three strides, in that order.
    """
    names = [output.name for output in model.graph.output]
    _batch(model)
    net = graph.upstream(model, ["net_input"])
    inputs = [f"{head}_{level}" for head in HEADS for level in range(LEVELS)]
    columns = {"score": 1, "bbox": 4, "kps": 10}
    declared = ", ".join(f"float[N, A, {columns[name[:-2]]}] {name}" for name in inputs)
    heads = [(f"net/{name}", head) for name, head in zip(names, inputs, strict=True)]
    decode = candidates.decoder(declared, GATHER, BOX, anchors=2)
    return candidates.served(net, heads, decode, scale=1 / 128, mean=127.5)


def _batch(model: ModelProto) -> None:
    """Add a batch dimension to the heads; the exporter flattened all images into one anchor list.

    The heads end in Transpose(H,W,N,C) -> Reshape(-1, columns), which becomes
    Transpose(N,H,W,C) -> Reshape(N, -1, columns).
    """
    constants = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Transpose" and list(node.attribute[0].ints) == [2, 3, 0, 1]:
            node.attribute[0].ints[:] = [0, 2, 3, 1]
        elif node.op_type == "Reshape" and node.input[1] in constants:
            shape = constants[node.input[1]]
            columns = int(numpy_helper.to_array(shape)[-1])
            # A leading 0 keeps the batch dimension as it is.
            batched = np.array([0, -1, columns], np.int64)
            shape.CopyFrom(numpy_helper.from_array(batched, shape.name))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    for output in model.graph.output:
        columns = output.type.tensor_type.shape.dim[1].dim_value
        del output.type.tensor_type.shape.dim[:]
        for size in ("N", f"A_{output.name}", columns):
            dim = output.type.tensor_type.shape.dim.add()
            if isinstance(size, str):
                dim.dim_param = size
            else:
                dim.dim_value = size
