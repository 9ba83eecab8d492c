"""Decode a detector's raw heads into its best candidates, inside the graph.

Anchor-free and anchor-based single-shot detectors differ only in two formulas: the score, and the
decoding of a box around its cell. Only the top-k candidates are decoded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from onnx import ModelProto

from aurum.imaging.faces import LISTED, LISTED_SCORE
from aurum.models.families import graph

STRIDES = (8, 16, 32)

# The largest value of AURUM_MAX_DETECTION_SIZE: memory grows with its square, to 3 GB at 8192.
MOST_SIDE = 4096

# Computes `size` int64 [4], the shape of `images`. Sides that are not multiples of 32 would be
# decoded wrongly without an error, so they cause an out-of-range lookup, whose error names the
# node. Everything that depends on `size` is computed after this check.
CHECKED_SIZE = """
    image_shape = Shape (images)
    sides = Slice (image_shape, first_side, last_side)
    beyond = Mod (sides, coarsest)
    is_empty = Equal (sides, no_pixels)
    missing = Cast <to=7> (is_empty)
    is_too_long = Greater (sides, most_side)
    too_long = Cast <to=7> (is_too_long)
    wrong = Add (beyond, missing)
    faults = Add (wrong, too_long)
    excess = ReduceSum <keepdims=0> (faults)
    nothing = Gather (only_zero, excess)
    size = Add (image_shape, nothing)
"""
CHECK_CONSTANTS: dict[str, ArrayLike] = {
    "first_side": np.array([2], np.int64),
    "last_side": np.array([4], np.int64),
    "coarsest": np.int64(STRIDES[-1]),
    "no_pixels": np.int64(0),
    "most_side": np.int64(MOST_SIDE),
    "only_zero": np.array([0], np.int64),
}


def name_check(model: ModelProto) -> ModelProto:
    """Give the node that fails in CHECKED_SIZE a name that explains the error."""
    check = next(node for node in model.graph.node if "only_zero" in node.input)
    check.name = f"height_and_width_must_be_multiples_of_32_up_to_{MOST_SIDE}"
    return model


def before(scale: float, mean: float) -> ModelProto:
    """uint8 RGB [N,3,H,W] -> float32 `pixels` = (x - mean) * scale, and `size`."""
    plain = (scale, mean) == (1, 0)
    normalize = "" if plain else "centred = Sub (raw, mean) pixels = Mul (centred, scale)"
    model = graph.fragment(
        f"""
        before (uint8[N, 3, H, W] images) => (float[N, 3, H, W] pixels, int64[4] size) {{
            {CHECKED_SIZE}
            checked = Reshape (images, size)
            {"pixels" if plain else "raw"} = Cast <to=1> (checked)
            {normalize}
        }}
        """,
        {**CHECK_CONSTANTS, "mean": np.float32(mean), "scale": np.float32(scale)},
    )
    return name_check(model)


def decoder(inputs: str, gather: str, box: str, anchors: int) -> ModelProto:
    """Raw heads -> `boxes` [N,K,4] x,y,width,height, `landmarks` [N,K,5,2], `scores` [N,K].

    Best first. K is one more than the number of candidates with a score of at least LISTED_SCORE,
    so that a crowd can't fill the list; it is at least LISTED and at most half of A, if there are
    that many. Only the top-k candidates are decoded. They are on the last axis until the very end,
    because onnxruntime is slow when a broadcast runs over an inner axis of two.

    `inputs` declares the heads. From these, `gather` computes `likely` [N,A], the scores, and
    `values` [N,14,A], four box and ten landmark values. `box` computes `box_rows` [N,4,K] from
    `raw_box` [N,4,K], `centre` [N,2,K] (pixels) and `stride` [N,1,K]. Landmarks are offsets from
    the centre in strides.
    """
    return graph.fragment(
        f"""
        decode ({inputs}, int64[4] size)
            => (float[N, K, 4] boxes, float[N, K, 5, 2] landmarks, float[N, K] scores) {{
            {gather}
            count = Shape <start=1, end=2> (likely)
            is_sure = GreaterOrEqual (likely, sure)
            one_if_sure = Cast <to=7> (is_sure)
            each_sure = ReduceSum <keepdims=0> (one_if_sure, i1)
            most_sure = ReduceMax <axes=[0], keepdims=1> (each_sure)
            and_one = Add (most_sure, i1)
            wanted = Max (and_one, least)
            part = Div (count, i2)
            allowed = Max (part, least)
            k = Min (wanted, allowed, count)
            scores, index = TopK <axis=1> (likely, k)

            # each candidate's cell: level, row and column from the flat index
            height = Slice (size, i2, i3)
            width = Slice (size, i3, i4)
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
            x_row = Unsqueeze (x, i1)
            y_row = Unsqueeze (y, i1)
            cell_xy = Concat <axis=1> (x_row, y_row)
            centre = Cast <to=1> (cell_xy)
            step_row = Unsqueeze (step, i1)
            stride = Cast <to=1> (step_row)

            # the raw values of the chosen candidates
            index_row = Unsqueeze (index, i1)
            every_row = Expand (index_row, rows)
            chosen = GatherElements <axis=2> (values, every_row)
            raw_box = Slice (chosen, i0, i4, i1)
            raw_points = Slice (chosen, i4, i14, i1)
            {box}
            boxes = Transpose <perm=[0, 2, 1]> (box_rows)
            moved = Mul (raw_points, stride)
            centres = Concat <axis=1> (centre, centre, centre, centre, centre)
            point_rows = Add (moved, centres)
            points = Transpose <perm=[0, 2, 1]> (point_rows)
            landmarks = Reshape (points, pairs)
        }}
        """,
        {
            **{f"i{n}": np.array([n], np.int64) for n in (0, 1, 2, 3, 4, 14, 16)},
            **{f"s{n}": np.array([n], np.int64) for n in STRIDES},
            "sure": np.float32(LISTED_SCORE),
            "least": np.array([LISTED], np.int64),
            "anchors": np.array([anchors], np.int64),
            "rows": np.array([1, 14, 1], np.int64),
            "pairs": np.array([0, 0, 5, 2], np.int64),  # 0: keeps that size
            "half": np.float32(0.5),
            "flat": np.array([0, 16, -1], np.int64),
        },
    )


def served(
    net: ModelProto,
    heads: Sequence[tuple[str, str]],
    decode: ModelProto,
    *,
    scale: float = 1.0,
    mean: float = 0.0,
) -> ModelProto:
    """Join preprocessing, net and decoder; `heads` are pairs (output of net, input of decode)."""
    pre = before(scale, mean)
    whole = graph.join(pre, net, [("pixels", "net_input")])
    return graph.join(whole, decode, [*heads, ("size", "size")])
