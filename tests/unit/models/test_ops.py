"""Our operators (backends/ops) agree with ONNX Runtime's own kernels on the plain graphs."""

import functools
from concurrent.futures import ThreadPoolExecutor

import images
import numpy as np
import onnx
import pytest
from graphs import ENTRIES, answer, session, textured, weights
from kernel_graphs import (
    DETECTOR,
    EMBEDDER,
    TOLERANCE,
    assert_same_candidates,
    by_kernels,
    extremes,
    graph,
    pair,
    planes,
    upstream,
)
from onnx import numpy_helper

from aurum import kernels as ours
from aurum.imaging.faces import LISTED
from aurum.models import families, kernels

pytestmark = pytest.mark.skipif(not ours.find().name, reason=ours.find().reason)


@pytest.fixture(scope="module")
def both():
    """Sessions of a model's plain graph and its graph with kernels, cached."""
    return functools.cache(pair)


SIZES = [(32, 32), (32, 64), (64, 32), (96, 160), (352, 224), (512, 512), (480, 640)]
LARGE = [(32, 2560), (2560, 32), (1280, 960), (2560, 2560)]


@pytest.mark.parametrize("name", ["yunet_s_dynamic", "yunet_n_dynamic"])
@pytest.mark.parametrize("size", SIZES + LARGE)
def test_the_detector_agrees_at_any_size(both, name, size):
    plain, fast = both(name, "face_detection")
    batch = planes(textured(1, *size))
    assert_same_candidates(answer(fast, images=batch), answer(plain, images=batch))


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_the_detector_agrees_on_batches(both, count):
    plain, fast = both("yunet_s_dynamic", "face_detection")
    batch = planes(textured(count, 96, 160))
    found = answer(fast, images=batch)
    assert_same_candidates(found, answer(plain, images=batch))
    for n in range(count):
        alone = answer(fast, images=batch[n : n + 1])
        np.testing.assert_array_equal(
            alone["boxes"][0], found["boxes"][n][: len(alone["boxes"][0])]
        )


def test_the_detector_agrees_on_saturated_photos(both):
    plain, fast = both("yunet_s_dynamic", "face_detection")
    batch = extremes(3, 320, 256)
    found = answer(fast, images=batch)
    assert all(np.isfinite(found[name]).all() for name in ("boxes", "landmarks", "scores"))
    assert_same_candidates(found, answer(plain, images=batch))


def test_a_crowd_gives_a_list_as_long_as_the_plain_graphs(both):
    plain, fast = both("yunet_s_dynamic", "face_detection")
    face = images.photo()[30:220, 120:310][::3, ::3]
    crowd = np.tile(face, (20, 20, 1))[:1280, :1280]
    batch = planes(np.ascontiguousarray(crowd)[None])
    found = answer(fast, images=batch)
    assert found["scores"].shape[1] > LISTED
    assert_same_candidates(found, answer(plain, images=batch))


@pytest.mark.parametrize("count", [1, 5, 8])
def test_the_second_look_agrees(both, count):
    plain, fast = both("yunet_s_dynamic", "face_landmarks")
    crops = textured(count, 96, 96)
    got, want = answer(fast, crops=crops), answer(plain, crops=crops)
    assert np.abs(got["scores"] - want["scores"]).max() <= TOLERANCE.score
    bound = TOLERANCE.pixels + TOLERANCE.share * crops.shape[1]
    assert np.abs(got["landmarks"] - want["landmarks"]).max() <= bound


@pytest.mark.parametrize("name", ["edgeface_xs_q", "edgeface_xxs_q"])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 17])
def test_the_embedder_agrees_on_batches(both, name, count):
    plain, fast = both(name, "face_embedding")
    crops = textured(count, 112, 112)
    crops[-3:] = extremes(112, 112, 3)[-len(crops) :]
    got, want = answer(fast, crops=crops), answer(plain, crops=crops)
    assert np.abs(got["embedding"] - want["embedding"]).max() <= TOLERANCE.embedding
    assert np.abs(got["norm"] / want["norm"] - 1).max() <= 1e-3
    assert np.abs(np.linalg.norm(got["embedding"], axis=1) - 1).max() <= 1e-5
    for key in ("model", "calibration"):
        np.testing.assert_array_equal(got[key], want[key])


def float_checkpoint():
    """EdgeFace-XS with weights that are not integers times a scale."""
    entry, model = upstream("edgeface_xs_q")
    noise = np.random.default_rng(2)
    for item in model.graph.initializer:
        value = numpy_helper.to_array(item)
        if value.ndim == 2:
            moved = value * (1 + 1e-3 * noise.standard_normal(value.shape)).astype(np.float32)
            item.CopyFrom(numpy_helper.from_array(moved, item.name))
    return entry, model


def test_an_embedder_with_float_weights_agrees(both):
    entry, model = float_checkpoint()
    fast = kernels.build("face_embedding", entry, model)
    whole = next(item for item in fast.graph.initializer if item.name == "whole")
    assert numpy_helper.to_array(whole).size == 0
    crops = textured(3, 112, 112)
    want = answer(session(families.build("face_embedding", entry, model)), crops=crops)
    got = answer(by_kernels(fast), crops=crops)
    assert np.abs(got["embedding"] - want["embedding"]).max() <= TOLERANCE.embedding


def test_an_unsupported_model_has_no_graph_with_kernels():
    entry, model = upstream("scrfd_2.5g_bnkps")
    assert kernels.build("face_detection", entry, model) is None
    other = onnx.load(weights("yunet_s_dynamic.onnx"))
    assert kernels.build("face_embedding", ENTRIES["edgeface_xs_q"], other) is None


def test_concurrent_runs_do_not_interfere(both):
    _, detector = both("yunet_s_dynamic", "face_detection")
    _, embedder = both("edgeface_xs_q", "face_embedding")
    second = by_kernels(graph("edgeface_xs_q", "face_embedding"))
    photos = [planes(textured(1, 32 * (1 + n % 5), 64, seed=n)) for n in range(8)]
    crops = [textured(1 + n % 3, 112, 112, seed=n) for n in range(8)]
    jobs = [
        *((detector, {"images": photo}) for photo in photos),
        *((made, {"crops": crop}) for crop in crops for made in (embedder, second)),
    ]
    alone = [answer(made, **given) for made, given in jobs]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(4):
            together = pool.map(lambda job: answer(job[0], **job[1]), jobs)
            for got, want in zip(together, alone, strict=True):
                for name in want:
                    np.testing.assert_array_equal(got[name], want[name])


@pytest.mark.parametrize("size", [(0, 32), (32, 0), (33, 64), (64, 48), (4128, 32)])
def test_unsupported_sizes_are_refused_with_the_plain_graphs_message(both, size):
    batch = np.zeros((1, 3, *size), np.uint8)
    for made in both("yunet_s_dynamic", "face_detection"):
        with pytest.raises(Exception, match="must_be_multiples_of_32_up_to_4096"):
            answer(made, images=batch)


def changed(name, served, change):
    """A graph with kernels whose node or weights are changed."""
    made = graph(name, served)
    node = next(node for node in made.graph.node if node.domain == "aurum")
    change(made.graph, node)
    return made


def attribute(name, value):
    def change(_, node):
        item = next(item for item in node.attribute if item.name == name)
        item.CopyFrom(onnx.helper.make_attribute(name, value))

    return change


def resize(weight, difference):
    def change(whole, _):
        item = next(item for item in whole.initializer if item.name == weight)
        value = np.resize(numpy_helper.to_array(item), item.dims[0] + difference)
        item.CopyFrom(numpy_helper.from_array(value, weight))

    return change


def not_constant(whole, node):
    whole.input.append(onnx.helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, ["W"]))
    node.input[1] = "w"


@pytest.mark.parametrize(
    ("which", "change", "reason"),
    [
        (DETECTOR, attribute("format", 2), "format 2, this library 1: build the graphs again"),
        (EMBEDDER, attribute("format", 0), "format 0, this library 1: build the graphs again"),
        (DETECTOR, resize("weights", -1), "too few weights"),
        (DETECTOR, resize("weights", 3), "3 weights too many"),
        (EMBEDDER, resize("weights", -1), "too few weights"),
        (EMBEDDER, resize("whole", -1), "too few whole weights"),
        (EMBEDDER, resize("whole", 5), "5 weights too many"),
        (EMBEDDER, attribute("channels", [32, 64, 100]), "four stages"),
        (EMBEDDER, attribute("channels", [32, 64, 100, 1 << 40]), "channels"),
        (EMBEDDER, attribute("blocks", [3, 2, 8, -1]), "-1 blocks"),
        (DETECTOR, attribute("middle", 48), "48 channels in the middle"),
        (DETECTOR, not_constant, "must be initializers"),
    ],
)
def test_a_graph_that_does_not_fit_the_library_fails_to_load(which, change, reason):
    with pytest.raises(Exception, match=reason):
        by_kernels(changed(*which, change))


def test_without_the_library_a_graph_with_kernels_is_refused():
    with pytest.raises(Exception, match="aurum"):
        session(graph(*DETECTOR))
