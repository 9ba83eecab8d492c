"""ONNX Runtime sessions of served graphs and of their upstream graphs."""

import os
from pathlib import Path

import cv2
import images
import numpy as np
import onnx
import onnxruntime as ort
import pytest

from aurum.models import families, manifest
from aurum.paths import CHECKOUT

MIRROR = Path(os.environ.get("AURUM_MODEL_MIRROR") or CHECKOUT.parent / "shared" / "models")
ENTRIES = manifest.load().models
FLOAT, UINT8, STRING = "tensor(float)", "tensor(uint8)", "tensor(string)"


def session(model, library=None):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if library is not None:
        options.register_custom_ops_library(str(library))
    data = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def answer(served, **inputs):
    names = [output.name for output in served.get_outputs()]
    return dict(zip(names, served.run(names, inputs), strict=True))


def weights(name):
    path = MIRROR / name
    if not path.is_file():
        pytest.skip(f"{name} is neither in $AURUM_MODEL_MIRROR nor in ../shared/models")
    return path


def has_liveness():
    """Whether `face_liveness` can be built here."""
    return all((MIRROR / entry.file).is_file() for entry in manifest.load().liveness)


def built(name, served=""):
    """Build a served graph of a real model (`served`, or the role's first); also its upstream."""
    entry = ENTRIES[name]
    path = weights(entry.file)
    graph = families.build(served or families.SERVED[entry.role][0], entry, onnx.load(path))
    return session(graph), session(path), entry


def textured(count, height, width, seed=0):
    """Several different pictures of one size; the first shows a face."""
    random = np.random.default_rng(seed)
    batch = random.integers(0, 256, (count, height, width, 3), np.uint8)
    batch[0] = cv2.resize(images.photo(), (width, height), interpolation=cv2.INTER_AREA)
    return batch
