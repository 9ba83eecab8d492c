"""A small embedder with random weights and the graph's outside of a real one, ArcFace's ResNet-100.

Its batch is free at the input and 1 at the output, as in AuraFace's published file, so that
building, checking and serving that model are tested without its 261 MB.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from aurum.models import manifest
from aurum.models.manifest import Model

CHANNELS, OPSET = 8, 11


def small_embedder(
    folder: Path, name: str = "auraface-v1", *, listed: bool = False
) -> tuple[Path, Model]:
    """Write the graph to `folder` by the file's name; return it, and the manifest's entry for it.

    The entry is the model's own, except for sha256 and size. `listed`: the graph lists its weights
    among its inputs, as the ONNX Model Zoo's ArcFace does.
    """
    entry = manifest.load().models[name]
    path = folder / str(entry.file)
    graph = _graph()
    if listed:
        graph.graph.input.extend(
            helper.make_tensor_value_info(item.name, item.data_type, item.dims)
            for item in graph.graph.initializer
        )
    content = graph.SerializeToString(deterministic=True)
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return path, replace(entry, sha256=digest, bytes=len(content))


def _graph() -> onnx.ModelProto:
    random = np.random.default_rng(21)

    def weights(name, *shape, scale=0.1):
        values = (random.standard_normal(shape) * scale).astype(np.float32)
        return numpy_helper.from_array(values, name)

    def ones(name, size):
        return numpy_helper.from_array(np.ones(size, np.float32), name)

    def norm(source, target, size):
        names = [f"{target}/{part}" for part in ("scale", "shift", "mean", "variance")]
        initializers.extend([ones(names[0], size), weights(names[1], size)])
        initializers.extend([weights(names[2], size), ones(names[3], size)])
        return helper.make_node("BatchNormalization", [source, *names], [target], epsilon=2e-5)

    initializers = [
        weights("stem/weight", CHANNELS, 3, 3, 3),
        weights("slope", CHANNELS, 1, 1),
        weights("block/weight", CHANNELS, CHANNELS, 3, 3),
        weights("fc/weight", 512, CHANNELS * 14 * 14, scale=0.02),
        weights("fc/bias", 512),
    ]
    padded = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
    nodes = [
        helper.make_node("Conv", ["input.1", "stem/weight"], ["stem"], strides=[2, 2], **padded),
        norm("stem", "normed", CHANNELS),
        helper.make_node("PRelu", ["normed", "slope"], ["active"]),
        helper.make_node("Conv", ["active", "block/weight"], ["block"], **padded),
        helper.make_node("Add", ["block", "active"], ["sum"]),
        helper.make_node("MaxPool", ["sum"], ["small"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["small"], ["flat"]),
        helper.make_node("Gemm", ["flat", "fc/weight", "fc/bias"], ["fc"], transB=1),
        norm("fc", "1333", 512),
    ]
    whole = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [None, 3, 112, 112])],
        [helper.make_tensor_value_info("1333", TensorProto.FLOAT, [1, 512])],
        initializers,
    )
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=6)
    onnx.checker.check_model(model)
    return model
