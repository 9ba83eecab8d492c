"""Checkpoints in PyTorch's format before 1.6, as torch.save wrote them, without PyTorch."""

from __future__ import annotations

import io
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}


def written(tensors: Mapping[str, np.ndarray], magic: int = MAGIC, version: int = VERSION) -> bytes:
    """A file of these tensors, float32 or int64, each in a storage of its own."""
    return joined(described(tensors), dict(enumerate(tensors.values())), magic, version)


def joined(
    pickled: bytes,
    storages: Mapping[int, np.ndarray],
    magic: int = MAGIC,
    version: int = VERSION,
) -> bytes:
    """A file whose fourth pickle, which describes the tensors, is `pickled`."""
    parts = [pickle.dumps(item, 2) for item in (magic, version, MACHINE)]
    parts += [pickled, pickle.dumps([str(key) for key in storages], 2)]
    for values in storages.values():
        parts += [values.size.to_bytes(8, "little"), values.tobytes()]
    return b"".join(parts)


def described(tensors: Mapping[str, np.ndarray], sizes: Mapping[str, int] | None = None) -> bytes:
    """The pickle of a dictionary of tensors; `sizes` are what it claims of their storages."""
    with _torch() as torch:
        entries = OrderedDict(
            (name, _Described(torch, str(key), value, (sizes or {}).get(name, value.size)))
            for key, (name, value) in enumerate(tensors.items())
        )
        buffer = io.BytesIO()
        _Pickler(buffer, 2).dump(entries)
        return buffer.getvalue()


class _Storage:
    def __init__(self, pid: tuple[object, ...]) -> None:
        self.pid = pid


class _Described:
    def __init__(self, torch: types.ModuleType, key: str, value: np.ndarray, size: int) -> None:
        kind = torch.FloatStorage if value.dtype == np.float32 else torch.LongStorage
        strides = tuple(step // value.itemsize for step in value.strides)
        self._made = (
            torch._utils._rebuild_tensor_v2,
            (_Storage(("storage", kind, key, "cpu", size, None)), 0, value.shape, strides, False),
        )

    def __reduce__(self):
        return self._made


class _Pickler(pickle.Pickler):
    def persistent_id(self, value):
        return value.pid if isinstance(value, _Storage) else None


@contextmanager
def _torch() -> Iterator[types.ModuleType]:
    """Modules with the names that a checkpoint refers to."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def rebuild(*arguments: object) -> None:
        raise NotImplementedError

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild
    torch._utils = utils
    for name in ("FloatStorage", "LongStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules |= {"torch": torch, "torch._utils": utils}
    try:
        yield torch
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def random_network(seed: int, excited: bool = False) -> dict[str, np.ndarray]:
    """MiniFASNet's tensors at random: one residual block a stage, `excited` with a gate in it."""
    random = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {}

    def weight(name: str, *shape: int) -> None:
        scale = 1 / np.sqrt(np.prod(shape[1:]))
        tensors[f"{name}.weight"] = (random.normal(0, scale, shape)).astype(np.float32)

    def norm(name: str, size: int) -> None:
        for part in ("weight", "running_var"):
            tensors[f"{name}.{part}"] = random.uniform(0.5, 1.5, size).astype(np.float32)
        for part in ("bias", "running_mean"):
            tensors[f"{name}.{part}"] = random.normal(0, 0.3, size).astype(np.float32)
        tensors[f"{name}.num_batches_tracked"] = np.array([7], np.int64)

    def layer(name: str, into: int, out: int, side: int = 1, slopes: bool = True) -> None:
        weight(f"{name}.conv", out, into, side, side)
        norm(f"{name}.bn", out)
        if slopes:
            tensors[f"{name}.prelu.weight"] = random.uniform(0, 0.5, out).astype(np.float32)

    def block(name: str, into: int, inner: int, out: int) -> None:
        layer(f"{name}.conv", into, inner)
        layer(f"{name}.conv_dw", 1, inner, 3)
        layer(f"{name}.project", inner, out, slopes=False)

    layer("conv1", 3, 8, 3)
    tensors["conv1.conv.weight"] /= 128  # pixels are 0 to 255
    layer("conv2_dw", 1, 8, 3)
    for first, stage in (("conv_23", "conv_3"), ("conv_34", "conv_4"), ("conv_45", "conv_5")):
        block(first, 8, 12, 8)
        block(f"{stage}.model.0", 8, 12, 8)
        if excited:
            gate = f"{stage}.model.0.se_module"
            for number, shape in ((1, (4, 8)), (2, (8, 4))):
                weight(f"{gate}.fc{number}", *shape, 1, 1)
                norm(f"{gate}.bn{number}", shape[0])
    layer("conv_6_sep", 8, 16)
    layer("conv_6_dw", 1, 16, 5, slopes=False)
    weight("linear", 6, 16)
    norm("bn", 6)
    weight("prob", 3, 6)
    return tensors
