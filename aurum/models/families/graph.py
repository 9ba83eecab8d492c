"""Tools to compose a served graph: text fragments before and after an upstream graph.

The fragments are written in ONNX's text syntax (https://onnx.ai/onnx/repo-docs/Syntax.html), which
reads like formulas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import ModelProto, compose, helper, numpy_helper, parser, version_converter

from aurum.errors import OperatorError

IR_VERSION = 8
OPSET = 17


class BuildError(OperatorError, ValueError):
    """A model can't be served under the contract; the message says why."""


def fragment(text: str, constants: Mapping[str, ArrayLike] | None = None) -> ModelProto:
    """Parse a graph in ONNX text syntax; the `constants` that it uses become initializers."""
    model = parser.parse_model(f'<ir_version: {IR_VERSION}, opset_import: ["" : {OPSET}]>\n{text}')
    used = {name for node in model.graph.node for name in node.input}
    for name, value in (constants or {}).items():
        if name in used:
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return model


def upstream(model: ModelProto, inputs: Sequence[str]) -> ModelProto:
    """Convert an upstream graph to our opset and IR version, and rename its inputs to `inputs`.

    Node and value names get the prefix ``net/`` so that fragments can't collide with them.
    """
    if model.opset_import[0].version != OPSET:
        model = version_converter.convert_version(model, OPSET)
    model.ir_version = IR_VERSION
    # Up to IR version 3, initializers were inputs as well.
    fixed = {item.name for item in model.graph.initializer}
    given = [value for value in model.graph.input if value.name not in fixed]
    del model.graph.input[:]
    model.graph.input.extend(given)
    model = compose.add_prefix(model, "net/")
    renamed = {old.name: new for old, new in zip(model.graph.input, inputs, strict=True)}
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
    for value in model.graph.input:
        value.name = renamed[value.name]
    return model


def join(
    first: ModelProto,
    second: ModelProto,
    names: Sequence[tuple[str, str]],
    outputs: Sequence[str] | None = None,
) -> ModelProto:
    """Feed outputs of `first` into inputs of `second`: pairs (output name, input name).

    The result has the given `outputs`; None: all outputs that are not fed into `second`.
    """
    kept = None if outputs is None else list(outputs)
    return compose.merge_models(first, second, io_map=list(names), outputs=kept)


def prefixed(model: ModelProto) -> ModelProto:
    """Return a copy whose names all begin with ``look/``, to be part of another graph."""
    return compose.add_prefix(model, "look/")


def keep_outputs(model: ModelProto, names: Sequence[str], rank: int) -> None:
    """Make the float values `names` the outputs of `model`, and remove what they don't need."""
    del model.graph.output[:]
    for name in names:
        value = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * rank)
        model.graph.output.append(value)
    prune(model)


def prune(model: ModelProto) -> None:
    """Remove nodes and initializers that no output needs."""
    wanted = {output.name for output in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):  # they are in topological order
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    initializers = [item for item in model.graph.initializer if item.name in wanted]
    del model.graph.initializer[:]
    model.graph.initializer.extend(initializers)
    replace_nodes(model, kept[::-1])


def replace_nodes(model: ModelProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Replace the graph's nodes by `nodes`, in this order; these may include nodes of the graph."""
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def add_constant(model: ModelProto, name: str, value: onnx.TensorProto) -> None:
    """Add an output `name` [N,n] that repeats `value` [n] for each of the batch's N inputs."""
    kind = onnx.TensorProto.DataType.Name(value.data_type).lower()
    part = fragment(
        f"""
        constant ({kind}[N] any) => ({kind}[N, {value.dims[0]}] {name}) {{
            size = Shape <start=0, end=1> (any)
            shape = Concat <axis=0> (size, width)
            {name} = Expand (value, shape)
        }}
        """,
        {"width": np.array(value.dims, np.int64)},
    )
    part.graph.initializer.append(value)
    part.graph.initializer[-1].name = "value"
    part = compose.add_prefix(part, f"{name}/", rename_inputs=False, rename_outputs=False)
    for node in part.graph.node:
        for index, item in enumerate(node.input):
            if item == "any":
                node.input[index] = model.graph.output[0].name
    model.graph.node.extend(part.graph.node)
    model.graph.initializer.extend(part.graph.initializer)
    model.graph.output.extend(part.graph.output)


def finish(model: ModelProto, name: str, model_id: str) -> ModelProto:
    """Add the output `model`, which names the weights in every answer, and check the graph.

    The id is an output of the graph rather than a setting of the server, so that an answer can't
    name another model than the one that computed it, not even during a rollout.
    """
    id_tensor = helper.make_tensor("", onnx.TensorProto.STRING, [1], [model_id.encode()])  # type: ignore[list-item]
    add_constant(model, "model", id_tensor)
    # Exporters give different sizes the same name (YuNet's heads are all `dim` long), and
    # onnxruntime would rely on that when it shares buffers.
    del model.graph.value_info[:]
    model.graph.name = name
    model.producer_name = "aurum"
    model.producer_version = ""
    model.doc_string = ""
    helper.set_model_props(model, {"aurum.model": model_id})
    onnx.checker.check_model(model, full_check=True)
    return model
