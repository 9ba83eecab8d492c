"""Graph rewrites preserve the function; each is tested on a tiny graph with its pattern."""

import numpy as np
import pytest
from graphs import session
from onnx import numpy_helper, parser

from aurum.models.families import rewrite

RANDOM = np.random.default_rng(0)
SCALED = """
    net (float[N, 5] x) => (float[N, 3] y) {{
        p = MatMul (x, w)
        q = Add (b, p)
        r = Mul (g, q)
        y = {}
    }}
"""


def model(text, **constants):
    made = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{text}')
    for name, value in constants.items():
        made.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    return made


def run(made, value):
    (name,) = (item.name for item in made.graph.input)
    return session(made).run(None, {name: value})[0]


def kinds(made):
    return [node.op_type for node in made.graph.node]


def convolution(attributes):
    return model(
        f"""
        net (float[N, 3, 8, 8] net_input) => (float[N, 4, H, W] y) {{
            y = Conv <{attributes}> (net_input, w, b)
        }}
        """,
        w=RANDOM.standard_normal((4, 3, 2, 2)),
        b=RANDOM.standard_normal(4),
    )


def test_normalization_moves_into_the_first_convolution():
    made = convolution("strides=[2, 2]")
    pixels = RANDOM.integers(0, 256, (2, 3, 8, 8)).astype(np.float32)
    expected = run(made, (pixels - 127.5) / 128)

    assert rewrite.fold_normalization(made, 127.5, 128)

    np.testing.assert_allclose(run(made, pixels), expected, atol=1e-4)


@pytest.mark.parametrize("attributes", ["pads=[1, 1, 1, 1]", 'auto_pad="SAME_UPPER"'])
def test_a_padding_convolution_is_left_alone(attributes):
    made = convolution(attributes)
    before = made.SerializeToString()

    assert not rewrite.fold_normalization(made, 127.5, 128)
    assert made.SerializeToString() == before


def test_a_scale_moves_into_the_weights():
    made = model(
        SCALED.format("Relu (r)"),
        w=RANDOM.standard_normal((5, 3)),
        b=RANDOM.standard_normal(3),
        g=RANDOM.standard_normal(3),
    )
    x = RANDOM.standard_normal((4, 5)).astype(np.float32)
    expected = run(made, x)

    rewrite.fold_scales(made)

    assert kinds(made) == ["MatMul", "Add", "Relu"]
    np.testing.assert_allclose(run(made, x), expected, atol=1e-5)


def test_a_scale_stays_if_another_node_uses_the_unscaled_value():
    made = model(
        SCALED.format("Add (r, q)"),
        w=np.ones((5, 3)),
        b=np.ones(3),
        g=np.full(3, 2),
    )
    rewrite.fold_scales(made)

    assert "Mul" in kinds(made)
    assert run(made, np.ones((1, 5), np.float32)).tolist() == [[18, 18, 18]]


def test_a_residual_is_added_in_channels_last_order():
    made = model(
        """
        net (float[N, 2, 3, 3] x) => (float[N, 2, 3, 3] y) {
            last = Transpose <perm=[0, 2, 3, 1]> (x)
            a = Relu (last)
            first = Transpose <perm=[0, 3, 1, 2]> (a)
            y = Add (x, first)
        }
        """
    )
    x = RANDOM.standard_normal((2, 2, 3, 3)).astype(np.float32)
    expected = run(made, x)

    rewrite.residuals_channels_last(made)

    assert kinds(made) == ["Transpose", "Relu", "Transpose", "Add", "Transpose"]
    np.testing.assert_array_equal(run(made, x), expected)
