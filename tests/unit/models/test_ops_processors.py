"""Our operators on processors without some instructions, and in sessions created concurrently."""

import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from graphs import answer, textured
from kernel_graphs import (
    DETECTOR,
    EMBEDDER,
    LIBRARY,
    assert_same_candidates,
    extremes,
    graph,
    pair,
    planes,
)

from aurum import kernels as ours
from aurum.models.parity import FLOATS

pytestmark = pytest.mark.skipif(not ours.find().name, reason=ours.find().reason)

HIGHEST = ["AVX2", "AVX-512", "AVX-512 VNNI"]

# --- sessions created concurrently, as Triton does; Python's lock would serialize them ---

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


def test_sessions_may_be_created_concurrently(tmp_path):
    onnx.save(graph(*DETECTOR), tmp_path / "model.onnx")
    for _ in range(8):
        command = [sys.executable, "-c", AT_ONCE, LIBRARY, tmp_path / "model.onnx"]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        assert result.stdout == ""


# --- which kernels run where; in processes that pretend to lack some instructions ---

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
    names = [output.name for output in made.get_outputs() if "string" not in output.type]
    given = {made.get_inputs()[0].name: np.load(sys.argv[3])}
    np.savez(sys.argv[4], **dict(zip(names, made.run(names, given))))
except Exception as error:
    said["error"] = str(error)
print(json.dumps(said))
"""


def without_instructions(flags, model, given, folder):
    """Run a model without some instructions; return the report and the outputs, if any."""
    onnx.save(model, folder / "model.onnx")
    np.save(folder / "given.npy", given)
    paths = [folder / name for name in ("model.onnx", "given.npy", "answer.npz")]
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, LIBRARY, *paths],
        env={**os.environ, "AURUM_CPU_WITHOUT": flags},
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(np.load(paths[-1])) if paths[-1].is_file() else {}
    return json.loads(result.stdout), found


@pytest.mark.parametrize("flags", ["avx2", "avx512_vnni,fma"])
def test_a_processor_without_the_instructions_runs_no_kernels(tmp_path, flags):
    reason = "this processor has neither AVX2 with FMA nor AVX-512"
    for which, given in (
        (EMBEDDER, textured(1, 112, 112)),
        (DETECTOR, planes(textured(1, 64, 64))),
    ):
        said, found = without_instructions(flags, graph(*which), given, tmp_path)
        assert (said["name"], said["reason"]) == ("", reason)
        assert reason in said["error"]
        assert not found


@pytest.mark.parametrize(
    ("flags", "name"),
    [("avx512_vnni", "AVX-512"), ("avx512f", "AVX2"), ("avx512bw", "AVX2"), ("avx512vl", "AVX2")],
)
def test_a_processor_with_fewer_instructions_computes_the_same(tmp_path, flags, name):
    if name not in HIGHEST[: HIGHEST.index(ours.find().name) + 1]:
        pytest.skip("this processor can't run them")
    crops = np.concatenate([textured(3, 112, 112), extremes(112, 112, 3)])
    said, found = without_instructions(flags, graph(*EMBEDDER), crops, tmp_path)
    assert said["name"] == name
    want = answer(pair(*EMBEDDER)[0], crops=crops)["embedding"]
    assert np.abs(found["embedding"] - want).max() <= FLOATS.embedding
    for size in ((32, 32), (96, 160), (512, 512)):
        batch = planes(textured(2, *size))
        said, found = without_instructions(flags, graph(*DETECTOR), batch, tmp_path)
        want = answer(pair(*DETECTOR)[0], images=batch)
        assert_same_candidates(found, {key: want[key] for key in found}, FLOATS)


def test_kernel_files_share_no_code_with_files_that_run_on_any_processor():
    """A function in two object files is linked once, possibly the one for AVX-512."""
    objects = sorted((ours.OPERATORS.parent / "build" / "library").glob("*_*.o"))
    if not objects:
        pytest.skip("the library was compiled elsewhere")
    assert [path.stem for path in objects] == [
        "edgeface_avx2",
        "edgeface_avx512",
        "edgeface_vnni",
        "yunet_avx2",
        "yunet_avx512",
        "yunet_vnni",
    ]
    listed = subprocess.run(["nm", *objects], capture_output=True, text=True, check=True).stdout
    kinds = {line.split()[-2] for line in listed.splitlines() if len(line.split()) > 1}
    assert kinds <= set("TUDRtrbd"), "one has weak symbols (V, W)"
