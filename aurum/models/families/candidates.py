"""From a detector's raw heads to its best candidates, inside the graph.

Anchor-free and anchor-based single-shot detectors share all but two formulas: how a score is
made and how a box is decoded around its cell. Only candidates that survive the top-k are decoded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from onnx import ModelProto

from aurum.models.families import graph

STRIDES = (8, 16, 32)


# Lines that give `size` int64 [4], the shape of `images`. Sides that are no multiples of 32 would
# be decoded wrongly in silence: looking up what is not there is an error, which names the node.
CHECKED_SIZE = """
    image_shape = Shape (images)
    sides = Slice (image_shape, first_side, last_side)
    beyond = Mod (sides, coarsest)
    is_empty = Equal (sides, no_pixels)
    missing = Cast <to=7> (is_empty)
    faults = Add (beyond, missing)
    excess = ReduceSum <keepdims=0> (faults)
    nothing = Gather (only_zero, excess)
    size = Add (image_shape, nothing)
"""
CHECK_CONSTANTS: dict[str, ArrayLike] = {
    "first_side": np.array([1], np.int64),
    "last_side": np.array([3], np.int64),
    "coarsest": np.int64(STRIDES[-1]),
    "no_pixels": np.int64(0),
    "only_zero": np.array([0], np.int64),
}


def name_check(model: ModelProto) -> ModelProto:
    """Give the node that fails in CHECKED_SIZE a name that says why."""
    check = next(node for node in model.graph.node if "only_zero" in node.input)
    check.name = "height_and_width_must_be_multiples_of_32"
    return model


def before(scale: float, mean: float) -> ModelProto:
    """uint8 RGB [N,H,W,3] -> float32 [N,3,H,W] `pixels` = (x - mean) * scale, and `size`."""
    plain = (scale, mean) == (1, 0)
    normalize = "" if plain else "centred = Sub (raw, mean) pixels = Mul (centred, scale)"
    model = graph.fragment(
        f"""
        before (uint8[N, H, W, 3] images) => (float[N, 3, H, W] pixels, int64[4] size) {{
            {CHECKED_SIZE}
            planar = Transpose <perm=[0, 3, 1, 2]> (images)
            {"pixels" if plain else "raw"} = Cast <to=1> (planar)
            {normalize}
        }}
        """,
        {**CHECK_CONSTANTS, "mean": np.float32(mean), "scale": np.float32(scale)},
    )
    return name_check(model)


def decoder(heads: tuple[str, ...], score: str, box: str, anchors: int) -> ModelProto:
    """Raw heads -> `boxes` [N,K,4] x,y,width,height, `landmarks` [N,K,5,2], `scores` [N,K].

    Inputs are `<head>_<stride>` [N, cells * anchors, columns] for each head and stride, and `size`.
    `score` makes `raw_scores` [N,A,1] from the concatenated score heads; `box` makes `boxes` from
    `raw_box` [N,K,4], `centre` [N,K,2] (pixels) and `stride` [N,K,1]. Landmarks are offsets from
    the centre in strides. K = min(MAX_CANDIDATES, A), best first.
    """
    columns = {"bbox": 4, "kps": 10}
    inputs = ", ".join(
        f"float[N, A{stride}, {columns.get(head, 1)}] {head}_{stride}"
        for head in heads
        for stride in STRIDES
    )
    joined = "\n".join(
        f"{head} = Concat <axis=1> ({', '.join(f'{head}_{stride}' for stride in STRIDES)})"
        for head in heads
    )
    return graph.fragment(
        f"""
        decode ({inputs}, int64[4] size)
            => (float[N, K, 4] boxes, float[N, K, 5, 2] landmarks, float[N, K] scores) {{
            {joined}
            {score}
            flat = Squeeze (raw_scores, i2)
            count = Shape <start=1, end=2> (flat)
            k = Min (count, limit)
            scores, index = TopK <axis=1> (flat, k)

            # where each candidate's cell lies: level, row and column from the flat index
            height = Slice (size, i1, i2)
            width = Slice (size, i2, i3)
            wide8 = Div (width, s8)      high8 = Div (height, s8)    cells8 = Mul (wide8, high8)
            wide16 = Div (width, s16)    high16 = Div (height, s16)  cells16 = Mul (wide16, high16)
            start16 = Mul (cells8, anchors)
            level16 = Mul (cells16, anchors)
            start32 = Add (start16, level16)
            on16 = GreaterOrEqual (index, start16)
            on32 = GreaterOrEqual (index, start32)
            step_fine = Where (on16, s16, s8)
            step = Where (on32, s32, step_fine)
            start_fine = Where (on16, start16, i0)
            start = Where (on32, start32, start_fine)
            local = Sub (index, start)
            cell = Div (local, anchors)
            wide = Div (width, step)
            row = Div (cell, wide)
            column = Mod (cell, wide)
            y = Mul (row, step)
            x = Mul (column, step)
            x_last = Unsqueeze (x, i2)
            y_last = Unsqueeze (y, i2)
            cell_xy = Concat <axis=2> (x_last, y_last)
            centre = Cast <to=1> (cell_xy)
            step_last = Unsqueeze (step, i2)
            stride = Cast <to=1> (step_last)

            # the raw values of the chosen candidates
            index_last = Unsqueeze (index, i2)
            rows = Shape (index)
            shape_box = Concat <axis=0> (rows, i4)
            shape_kps = Concat <axis=0> (rows, i10)
            index_box = Expand (index_last, shape_box)
            index_kps = Expand (index_last, shape_kps)
            raw_box = GatherElements <axis=1> (bbox, index_box)
            raw_kps = GatherElements <axis=1> (kps, index_kps)
            {box}

            shape_points = Concat <axis=0> (rows, i5, i2)
            points = Reshape (raw_kps, shape_points)
            stride_point = Unsqueeze (stride, i2)
            centre_point = Unsqueeze (centre, i2)
            moved = Mul (points, stride_point)
            landmarks = Add (moved, centre_point)
        }}
        """,
        {
            **{f"i{n}": np.array([n], np.int64) for n in (0, 1, 2, 3, 4, 5, 10)},
            **{f"s{n}": np.array([n], np.int64) for n in STRIDES},
            "limit": np.array([graph.MAX_CANDIDATES], np.int64),
            "anchors": np.array([anchors], np.int64),
            "zero": np.float32(0),
            "one": np.float32(1),
            "half": np.float32(0.5),
        },
    )


def served(
    net: ModelProto,
    heads: dict[str, tuple[str, str, str]],
    decode: ModelProto,
    model_id: str,
    *,
    scale: float = 1.0,
    mean: float = 0.0,
) -> ModelProto:
    """Join preprocessing, net and decoder; `heads` names each head's outputs for three strides."""
    pre = before(scale, mean)
    whole = graph.join(pre, net, [("pixels", "net_input")])
    links = [
        (f"net/{output}", f"{head}_{stride}")
        for head, outputs in heads.items()
        for stride, output in zip(STRIDES, outputs, strict=True)
    ]
    whole = graph.join(whole, decode, [*links, ("size", "size")])
    return graph.finish(whole, "face_detection", model_id)
