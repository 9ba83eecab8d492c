"""Our operators give what the plain graphs give: backends/ops against onnxruntime's own kernels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import images
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from graphs import ENTRIES, answer, session, textured, weights
from onnx import numpy_helper

from aurum import kernels as ours
from aurum.imaging.faces import LISTED
from aurum.models import families, kernels, prove
from aurum.models.prove import (
    EMBEDDING_TOLERANCE,
    KERNELS_EMBEDDING_TOLERANCE,
    PIXEL_TOLERANCE,
    SCORE_TOLERANCE,
)

LIBRARY = Path(os.environ.get("AURUM_OPS_LIBRARY") or ours.LIBRARY).resolve()

pytestmark = pytest.mark.skipif(not ours.find().name, reason=ours.find().reason)


def by_kernels(model, library=LIBRARY):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.register_custom_ops_library(str(library))
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def upstream(name):
    """Its entry and its graph; YuNet-n, which no profile serves, has the entry of YuNet-s."""
    if name == "yunet_n_dynamic":
        entry = replace(ENTRIES["yunet_s_dynamic"], name=name, file=f"{name}.onnx")
    else:
        entry = ENTRIES[name]
    return entry, onnx.load(weights(entry.file))


def graph(name, served):
    entry, model = upstream(name)
    made = kernels.build(served, entry, model)
    assert made is not None
    return made


@pytest.fixture(scope="module")
def both():
    """Sessions of a model's plain graph and of that with kernels, each made once."""
    made = {}

    def get(name, served):
        if (name, served) not in made:
            entry, model = upstream(name)
            plain = session(families.build(served, entry, model))
            made[name, served] = plain, by_kernels(graph(name, served))
        return made[name, served]

    return get


def assert_same_candidates(got, want):
    assert {name: value.shape for name, value in got.items()} == {
        name: value.shape for name, value in want.items()
    }
    assert np.abs(got["scores"] - want["scores"]).max() <= SCORE_TOLERANCE
    for n in range(len(got["scores"])):
        parts = [found[n] for found in (got["boxes"], got["landmarks"])]
        wanted = [found[n] for found in (want["boxes"], want["landmarks"])]
        for i in np.flatnonzero(got["scores"][n] > prove.NOISE):
            # Of nearly equal scores either may come first.
            near = np.abs(want["scores"][n] - got["scores"][n, i]) <= SCORE_TOLERANCE
            off = np.maximum(
                np.abs(wanted[0][near] - parts[0][i]).max(axis=1),
                np.abs(wanted[1][near] - parts[1][i]).max(axis=(1, 2)),
            )
            assert off.min() <= PIXEL_TOLERANCE


def planes(batch):
    return np.ascontiguousarray(batch.transpose(0, 3, 1, 2))


SIZES = [(32, 32), (32, 64), (64, 32), (96, 160), (352, 224), (512, 512), (480, 640)]
LARGE = [(32, 2560), (2560, 32), (1280, 960), (2560, 2560)]


@pytest.mark.parametrize("name", ["yunet_s_dynamic", "yunet_n_dynamic"])
@pytest.mark.parametrize("size", SIZES + LARGE)
def test_the_detector_at_any_size(both, name, size):
    plain, fast = both(name, "face_detection")
    batch = planes(textured(1, *size))
    assert_same_candidates(answer(fast, images=batch), answer(plain, images=batch))


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_the_detector_on_batches(both, count):
    plain, fast = both("yunet_s_dynamic", "face_detection")
    batch = planes(textured(count, 96, 160))
    found = answer(fast, images=batch)
    assert_same_candidates(found, answer(plain, images=batch))
    for n in range(count):
        alone = answer(fast, images=batch[n : n + 1])
        np.testing.assert_array_equal(
            alone["boxes"][0], found["boxes"][n][: len(alone["boxes"][0])]
        )


def extremes(*shape):
    """All black, all white, and each pixel one of the two at random."""
    mixed = np.random.default_rng(1).integers(0, 2, shape, np.uint8) * 255
    return np.stack([np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), mixed])


def test_the_detector_on_saturated_photos(both):
    plain, fast = both("yunet_s_dynamic", "face_detection")
    batch = extremes(3, 320, 256)
    found = answer(fast, images=batch)
    assert all(np.isfinite(found[name]).all() for name in ("boxes", "landmarks", "scores"))
    assert_same_candidates(found, answer(plain, images=batch))


def test_a_crowd_makes_the_list_as_long_as_in_the_plain_graph(both):
    plain, fast = both("yunet_s_dynamic", "face_detection")
    face = images.photo()[30:220, 120:310][::3, ::3]
    crowd = np.tile(face, (20, 20, 1))[:1280, :1280]
    batch = planes(np.ascontiguousarray(crowd)[None])
    found = answer(fast, images=batch)
    assert found["scores"].shape[1] > LISTED
    assert_same_candidates(found, answer(plain, images=batch))


@pytest.mark.parametrize("count", [1, 5, 8])
def test_the_second_look(both, count):
    plain, fast = both("yunet_s_dynamic", "face_landmarks")
    crops = textured(count, 96, 96)
    got, want = answer(fast, crops=crops), answer(plain, crops=crops)
    assert np.abs(got["scores"] - want["scores"]).max() <= SCORE_TOLERANCE
    assert np.abs(got["landmarks"] - want["landmarks"]).max() <= PIXEL_TOLERANCE


@pytest.mark.parametrize("name", ["edgeface_xs_q", "edgeface_xxs_q"])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 17])
def test_the_embedder_on_batches(both, name, count):
    plain, fast = both(name, "face_embedding")
    crops = textured(count, 112, 112)
    crops[-3:] = extremes(112, 112, 3)[-len(crops) :]
    got, want = answer(fast, crops=crops), answer(plain, crops=crops)
    assert np.abs(got["embedding"] - want["embedding"]).max() <= KERNELS_EMBEDDING_TOLERANCE
    assert np.abs(got["norm"] / want["norm"] - 1).max() <= 1e-3
    assert np.abs(np.linalg.norm(got["embedding"], axis=1) - 1).max() <= 1e-5
    for key in ("model", "calibration"):
        np.testing.assert_array_equal(got[key], want[key])


def float_checkpoint():
    """EdgeFace-XS with weights that are not whole numbers times anything."""
    entry, model = upstream("edgeface_xs_q")
    noise = np.random.default_rng(2)
    for item in model.graph.initializer:
        value = numpy_helper.to_array(item)
        if value.ndim == 2:
            moved = value * (1 + 1e-3 * noise.standard_normal(value.shape)).astype(np.float32)
            item.CopyFrom(numpy_helper.from_array(moved, item.name))
    return entry, model


def test_an_embedder_whose_weights_are_not_whole(both):
    entry, model = float_checkpoint()
    fast = kernels.build("face_embedding", entry, model)
    whole = next(item for item in fast.graph.initializer if item.name == "whole")
    assert numpy_helper.to_array(whole).size == 0
    crops = textured(3, 112, 112)
    want = answer(session(families.build("face_embedding", entry, model)), crops=crops)
    got = answer(by_kernels(fast), crops=crops)
    assert np.abs(got["embedding"] - want["embedding"]).max() <= EMBEDDING_TOLERANCE


def test_a_model_that_no_operator_computes_has_no_such_graph():
    entry, model = upstream("scrfd_2.5g_bnkps")
    assert kernels.build("face_detection", entry, model) is None
    other = onnx.load(weights("yunet_s_dynamic.onnx"))
    assert kernels.build("face_embedding", ENTRIES["edgeface_xs_q"], other) is None


def test_runs_at_the_same_time_do_not_see_each_other(both):
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
def test_sizes_that_are_not_detected_on_are_refused_in_the_plain_graph_s_words(both, size):
    batch = np.zeros((1, 3, *size), np.uint8)
    for made in both("yunet_s_dynamic", "face_detection"):
        with pytest.raises(Exception, match="must_be_multiples_of_32_up_to_4096"):
            answer(made, images=batch)


def changed(name, served, change):
    """A graph with kernels, its node or its weights changed."""
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


DETECTOR, EMBEDDER = ("yunet_s_dynamic", "face_detection"), ("edgeface_xs_q", "face_embedding")


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
def test_a_graph_that_does_not_fit_the_library_fails_when_it_is_loaded(which, change, reason):
    with pytest.raises(Exception, match=reason):
        by_kernels(changed(*which, change))


def test_without_the_library_a_graph_with_kernels_is_refused():
    with pytest.raises(Exception, match="aurum"):
        session(graph(*DETECTOR))


# --- sessions that are made at once, as Triton makes them; Python's lock would keep them apart ---

AT_ONCE = """
import ctypes, sys, threading
from aurum.server.runtime import onnxruntime_library
library, model = sys.argv[1:]
ort = ctypes.CDLL(str(onnxruntime_library()))
ort.OrtGetApiBase.restype = ctypes.POINTER(ctypes.c_void_p)
get = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)(ort.OrtGetApiBase()[0])
api = ctypes.cast(get(16), ctypes.POINTER(ctypes.c_void_p))

def call(entry, *given):
    given = [ctypes.c_char_p(item) if isinstance(item, bytes) else item for item in given]
    kind = ctypes.CFUNCTYPE(ctypes.c_void_p, *[ctypes.c_void_p] * len(given))
    if status := kind(api[entry])(*given):
        message = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)(api[2])
        raise RuntimeError(message(status).decode())

environment = ctypes.c_void_p()
call(3, 2, b"test", ctypes.byref(environment))
barrier = threading.Barrier(8)

def load():
    options, session, handle = (ctypes.c_void_p() for _ in range(3))
    call(10, ctypes.byref(options))
    barrier.wait()
    try:
        call(29, options, library.encode(), ctypes.byref(handle))
        call(7, environment, model.encode(), options, ctypes.byref(session))
    except RuntimeError as error:
        print(error)

threads = [threading.Thread(target=load) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_sessions_may_be_made_at_once(tmp_path):
    onnx.save(graph(*DETECTOR), tmp_path / "model.onnx")
    for _ in range(8):
        command = [sys.executable, "-c", AT_ONCE, LIBRARY, tmp_path / "model.onnx"]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        assert result.stdout == ""


# --- what runs where; each in a process that is told that its processor lacks something ---

PROGRAM = """
import json, sys
import numpy as np, onnx, onnxruntime as ort
from aurum import kernels
options = ort.SessionOptions()
options.log_severity_level = 4
options.register_custom_ops_library(sys.argv[1])
said = {"name": kernels.find().name, "reason": kernels.find().reason}
try:
    made = ort.InferenceSession(sys.argv[2], options, providers=["CPUExecutionProvider"])
    (said["embedding"],) = made.run(["embedding"], {"crops": np.load(sys.argv[3])})
    said["embedding"] = said["embedding"].tolist()
except Exception as error:
    said["error"] = str(error)
print(json.dumps(said))
"""


def on_a_processor_without(flags, model, crops, folder):
    onnx.save(model, folder / "model.onnx")
    np.save(folder / "crops.npy", crops)
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, LIBRARY, folder / "model.onnx", folder / "crops.npy"],
        env={**os.environ, "AURUM_CPU_WITHOUT": flags},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(result.stdout)


@pytest.mark.parametrize("flags", ["avx512f", "avx512bw,avx512_vnni", "avx512vl"])
def test_a_processor_without_the_instructions_runs_no_kernels(tmp_path, flags):
    crops = textured(1, 112, 112)
    said = on_a_processor_without(flags, graph(*EMBEDDER), crops, tmp_path)
    assert (said["name"], said["reason"]) == ("", "this processor has no AVX-512")
    assert "aurum.EdgeFace: this processor has no AVX-512" in said["error"]


def test_a_processor_without_vnni_computes_the_same_in_floats(both, tmp_path):
    crops = textured(3, 112, 112)
    said = on_a_processor_without("avx512_vnni", graph(*EMBEDDER), crops, tmp_path)
    assert said["name"] == "AVX-512"
    want = answer(both(*EMBEDDER)[0], crops=crops)["embedding"]
    assert np.abs(np.array(said["embedding"]) - want).max() <= EMBEDDING_TOLERANCE


def test_no_file_of_kernels_shares_code_with_those_that_run_everywhere():
    """A function that two files have is linked once, and may be the one for AVX-512."""
    objects = sorted((ours.LIBRARY.parent / "build" / "library").glob("*_*.o"))
    if not objects:
        pytest.skip("the library was compiled elsewhere")
    assert [path.stem for path in objects] == ["edgeface_avx512", "edgeface_vnni", "yunet_avx512"]
    listed = subprocess.run(["nm", *objects], capture_output=True, text=True, check=True).stdout
    kinds = {line.split()[-2] for line in listed.splitlines() if len(line.split()) > 1}
    assert kinds <= set("TUtrbd"), "one has weak symbols (V, W)"
