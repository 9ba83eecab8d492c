"""A second pair of simulated models, for rollouts where there are no weights."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from aurum.models import build
from aurum.releases.state import Graph, Release, Store, now


def altered(graph: Path, target: Path, **factors: float) -> tuple[Path, str]:
    """Copy a simulated graph with some constants multiplied; return the copy and its new id."""
    model = onnx.load(str(graph))
    identity = build.identity(graph).replace("simulated_", "simulated_other_")
    tensors = {item.name: item for item in model.graph.initializer}
    changed = {"model/value": np.array([identity.encode()], object)}
    for name, factor in factors.items():
        value = numpy_helper.to_array(tensors[name])
        changed[name] = (value * factor).astype(value.dtype)
    for name, value in changed.items():
        tensors[name].CopyFrom(numpy_helper.from_array(value, name))
    onnx.helper.set_model_props(model, {"aurum.model": identity})
    onnx.save(model, str(target))
    return target, identity


def stage(settings, graphs: dict[str, tuple[Path, str]]) -> Release:
    """Stage these graphs, given with their ids, as `aurum rollout stage` does with a profile's."""
    from dataclasses import replace

    store = Store(settings.rollout)
    state = store.load()
    number = state.newest + 1
    candidate = Release(
        number,
        "simulated",
        {
            name: Graph(said, digest, number, own)
            for name, (path, said) in graphs.items()
            for digest, own in [store.keep(path)]
        },
        now(),
        "a test",
    )
    store.save(replace(state, candidate=candidate, newest=number))
    return candidate
