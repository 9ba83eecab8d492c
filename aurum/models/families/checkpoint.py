"""Read the tensors of a PyTorch checkpoint, in the format before PyTorch 1.6, without PyTorch.

Such a file is five pickles (a magic number, the format's version, facts about the machine, the
dictionary of tensors, and the order of the storages), then each storage: its length as int64 and
its numbers. A pickle is a program that may call any Python function it names. This reader knows
four names and refuses all others, so a checkpoint can do no more than describe tensors.
"""

from __future__ import annotations

import io
import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum.errors import OperatorError

# Larger files are refused: the networks that are served from checkpoints have 2 MB.
MOST_BYTES = 64 << 20
# torch/serialization.py: MAGIC_NUMBER and PROTOCOL_VERSION.
_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_STORAGES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "LongStorage": np.dtype("<i8"),
}

Tensors = dict[str, NDArray[Any]]


class CheckpointError(OperatorError, ValueError):
    """A file is not a checkpoint that this reader accepts; the message says why."""


# Named tuples, because a pickle could change the attributes of other objects after their checks.
class _Storage(NamedTuple):
    """A block of numbers that follows after the pickles, for one or more tensors."""

    key: str
    dtype: np.dtype[Any]
    size: int


class _Tensor(NamedTuple):
    """A tensor, as the pickle describes it: a contiguous part of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]


def read(path: Path) -> Tensors:
    """Return a checkpoint's tensors by name, without the prefix ``module.`` of DataParallel.

    Returns:
        float32 and int64 arrays.

    Raises:
        CheckpointError: the file is too large, damaged, of another format, or its pickle asks for
            anything but tensors.
        OSError: the file can't be read.
    """
    if path.stat().st_size > MOST_BYTES:
        raise CheckpointError(f"{path} has more than {MOST_BYTES} bytes")
    data = path.read_bytes()
    try:
        return _read(io.BytesIO(data))
    # For damaged data, the pickle module raises whatever the damaged instructions cause.
    except Exception as error:
        raise CheckpointError(f"{path} is not a checkpoint of tensors: {error}") from error


def _read(file: io.BytesIO) -> Tensors:
    storages: dict[str, _Storage] = {}
    magic, version, _, described, order = (_Unpickler(file, storages).load() for _ in range(5))
    if (magic, version) != (_MAGIC, _VERSION):
        raise ValueError(f"its magic number and format are {magic!r}, {version!r}")
    values = {key: _values(file, storages[key]) for key in order}
    if not isinstance(described, Mapping):
        raise ValueError("it has no dictionary of tensors")
    return {
        re.sub(r"^module\.", "", str(name)): values[tensor.storage.key][
            tensor.offset : tensor.offset + prod(tensor.shape)
        ].reshape(tensor.shape)
        for name, tensor in described.items()
        if isinstance(tensor, _Tensor)
    }


def _values(file: io.BytesIO, storage: _Storage) -> NDArray[Any]:
    size = int.from_bytes(file.read(8), "little")
    data = file.read(storage.size * storage.dtype.itemsize)
    if size != storage.size or len(data) != storage.size * storage.dtype.itemsize:
        raise ValueError(f"storage {storage.key!r} is not {storage.size} numbers long")
    return np.frombuffer(data, storage.dtype)


class _Unpickler(pickle.Unpickler):
    """Unpickles dictionaries of tensors, and nothing else."""

    def __init__(self, file: io.BytesIO, storages: dict[str, _Storage]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle may name. Raises ValueError for all other names."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            # A function of its own for each pickle, which could change its attributes.
            def rebuild(*arguments: Any) -> _Tensor:
                return _tensor(*arguments)

            return rebuild
        if module == "torch" and name in _STORAGES:
            return name  # only a persistent id uses it
        raise ValueError(f"its pickle asks for {module}.{name}, which is not allowed")

    def persistent_load(self, pid: Any) -> _Storage:
        """Return the storage that ('storage', type, key, device, size, view) names."""
        kind, name, key, _device, size, view = pid
        if kind != "storage" or view is not None or not 0 <= size <= MOST_BYTES:
            raise ValueError(f"its pickle has a storage that is not allowed: {pid!r}")
        return self._storages.setdefault(key, _Storage(key, _STORAGES[name], size))


def _tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _Tensor:
    """What torch._utils._rebuild_tensor_v2 does; the rest concerns gradients."""
    contiguous = tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
    inside = offset >= 0 and min(shape, default=1) > 0 and offset + prod(shape) <= storage.size
    if strides != contiguous or not inside:
        raise ValueError(f"it has a tensor that is not allowed: {offset}, {shape}, {strides}")
    return _Tensor(storage, offset, shape)
