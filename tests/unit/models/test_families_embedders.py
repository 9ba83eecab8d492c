"""The served embedders: their contract, and NumPy's computation of the upstream graphs."""

import numpy as np
import onnx
import pytest
from graphs import FLOAT, STRING, UINT8, answer, built, session, textured
from onnx import TensorProto, helper, numpy_helper

from aurum.models.families import arcface, simulated
from aurum.models.manifest import InputFacts, Model


@pytest.fixture(scope="module", params=["edgeface_xs_q", "edgeface_xxs_q"])
def edgeface(request):
    return built(request.param)


@pytest.fixture(scope="module")
def fake():
    return session(simulated.build_embedder())


# --- the contract, which is the same for all families ---


def signature(values):
    return [(value.name, value.type, value.shape[1:]) for value in values]


def assert_embedder(served, count):
    assert signature(served.get_inputs()) == [("crops", UINT8, [112, 112, 3])]
    assert signature(served.get_outputs()) == [
        ("embedding", FLOAT, [512]), ("norm", FLOAT, [1]), ("calibration", FLOAT, [6]),
        ("model", STRING, [1]),
    ]  # fmt: skip
    crops = textured(count, 112, 112)

    given = answer(served, crops=crops)

    assert given["embedding"].shape == (count, 512)
    assert given["norm"].shape == given["model"].shape == (count, 1)
    assert given["calibration"].shape == (count, 6)
    assert np.allclose(np.linalg.norm(given["embedding"], axis=1), 1, atol=1e-5)
    assert (given["norm"] > 0).all()
    alone = [answer(served, crops=crop[None])["embedding"][0] for crop in crops]
    assert np.allclose(given["embedding"], alone, atol=1e-4), "a batch must not change an answer"
    return given


@pytest.mark.parametrize("count", [1, 3])
def test_the_simulated_embedder_keeps_the_contract(fake, count):
    given = assert_embedder(fake, count)

    assert given["model"][0, 0].startswith("simulated_embedder@")
    assert np.isnan(given["calibration"]).all()


@pytest.mark.parametrize("count", [1, 3])
def test_an_embedder_keeps_the_contract(edgeface, count):
    served, _, entry = edgeface

    given = assert_embedder(served, count)

    assert (given["model"] == entry.id).all()
    np.testing.assert_array_equal(given["calibration"], np.float32([entry.calibration.row] * count))


# --- the simulated graph ---


def test_the_simulated_embedder_is_built_deterministically():
    one, other = simulated.build_embedder(), simulated.build_embedder()

    assert one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)
    assert one.metadata_props[0].value == other.metadata_props[0].value


def test_simulated_answers_are_deterministic_and_differ_by_photo(fake):
    crops = textured(3, 112, 112)
    near = np.clip(crops.astype(int) + 2, 0, 255).astype(np.uint8)

    one = answer(fake, crops=crops)["embedding"]

    assert np.array_equal(one, answer(fake, crops=crops)["embedding"])
    like = (one * answer(fake, crops=near)["embedding"]).sum(axis=1)
    assert like[0] > 0.99
    assert (one[0] * one[1]).sum() < 0.9


# --- the real embedders ---


def test_edgeface_is_its_upstream_normalized(edgeface):
    served, upstream, _ = edgeface
    crops = textured(3, 112, 112)

    given = answer(served, crops=crops)

    planar = ((crops.astype(np.float32) - 127.5) / 127.5).transpose(0, 3, 1, 2)
    (raw,) = upstream.run(None, {upstream.get_inputs()[0].name: np.ascontiguousarray(planar)})
    norm = np.linalg.norm(raw, axis=1, keepdims=True)
    assert np.allclose(given["norm"], norm, rtol=1e-3)
    assert np.allclose(given["embedding"], raw / norm, atol=1e-4)


# --- other embedders: a tiny one is built here ---


def tiny_model(columns, opset=13):
    """[N,3,112,112] -> [N,columns]: each channel's mean and a corner pixel, projected."""
    projection = np.random.default_rng(5).standard_normal((6, columns)).astype(np.float32)
    bounds = {"start": [0, 0], "end": [1, 1], "axes": [2, 3]}
    nodes = [
        helper.make_node("GlobalAveragePool", ["data"], ["mean"]),
        helper.make_node("Slice", ["data", "start", "end", "axes"], ["corner"]),
        helper.make_node("Concat", ["mean", "corner"], ["both"], axis=1),
        helper.make_node("Flatten", ["both"], ["flat"]),
        helper.make_node("MatMul", ["flat", "projection"], ["fc1"]),
    ]
    initializers = [numpy_helper.from_array(projection, "projection")] + [
        numpy_helper.from_array(np.array(value, np.int64), name) for name, value in bounds.items()
    ]
    whole = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["N", 3, 112, 112])],
        [helper.make_tensor_value_info("fc1", TensorProto.FLOAT, ["N", columns])],
        initializers,
    )
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    onnx.checker.check_model(model)
    return model, projection


def tiny_entry(color="RGB", mean=127.5, std=128.0):
    facts = InputFacts(color, mean, std, "NCHW", (112, 112), None, "this test")
    return Model("tiny", "embedder", "arcface", "", "", "yes", True, sha256="ab" * 32, input=facts)


@pytest.mark.parametrize("opset", [11, 13, 17])
@pytest.mark.parametrize("color", ["RGB", "BGR"])
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (127.5, 128.0), (127.5, 127.5)])
def test_colour_order_mean_and_std_come_from_the_manifest(color, mean, std, opset):
    model, projection = tiny_model(512, opset)
    entry = tiny_entry(color, mean, std)
    crops = textured(3, 112, 112)

    given = answer(session(arcface.build(model, entry, entry.id)), crops=crops)

    pixels = (crops[..., ::-1] if color == "BGR" else crops).astype(np.float64)
    pixels = (pixels - mean) / std
    raw = np.hstack([pixels.mean(axis=(1, 2)), pixels[:, 0, 0]]) @ projection
    norm = np.linalg.norm(raw, axis=1, keepdims=True)
    assert np.allclose(given["norm"], norm, rtol=1e-3)
    assert np.allclose(given["embedding"], raw / norm, atol=2e-4)
    assert given["model"].tolist() == [["tiny@abababababab"]] * 3


def test_a_zero_embedding_stays_finite():
    model, _ = tiny_model(512)
    entry = tiny_entry(mean=0.0, std=1.0)
    black = np.zeros((1, 112, 112, 3), np.uint8)

    given = answer(session(arcface.build(model, entry, entry.id)), crops=black)

    assert (given["embedding"] == 0).all()
    assert given["norm"].tolist() == [[0]]


@pytest.mark.parametrize("columns", [128, 256, 1024])
def test_other_dimensions_are_refused(columns):
    model, _ = tiny_model(columns)

    with pytest.raises(ValueError, match=rf"tiny gives {columns} dimensions; .* 512"):
        arcface.build(model, tiny_entry(), "tiny@0")


@pytest.mark.parametrize("columns", [512, 128])
def test_dimensions_that_a_graph_does_not_declare_are_found(columns):
    model, _ = tiny_model(columns)
    model.graph.output[0].type.tensor_type.shape.dim[-1].dim_param = "D"
    if columns == 512:
        served = session(arcface.build(model, tiny_entry(), "tiny@0"))
        assert answer(served, crops=textured(2, 112, 112))["embedding"].shape == (2, 512)
    else:
        with pytest.raises(ValueError, match="tiny gives 128 dimensions"):
            arcface.build(model, tiny_entry(), "tiny@0")
