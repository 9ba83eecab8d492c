"""The part of tritonclient that both transports use in the same way: tensors in and out."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
from tritonclient.utils import triton_to_np_dtype

from aurum_client._contract import Outputs
from aurum_client.errors import ProtocolError

Input = TypeVar("Input")


def image_input(kind: type[Input], image: bytes) -> Input:
    """Return the input ``image``: BYTES [1], binary on the wire. ``kind``: an InferInput."""
    tensor: Any = kind("image", [1], "BYTES")  # type: ignore[call-arg]
    tensor.set_data_from_numpy(np.array([image], dtype=np.object_))
    filled: Input = tensor
    return filled


def read_outputs(result: Any, described: Iterable[tuple[str, str, Iterable[int]]]) -> Outputs:
    """Return all outputs of an InferResult, ``described`` by name, datatype and shape.

    Empty tensors are made here: over HTTP ``as_numpy`` returns them as float64, whatever their
    datatype.

    Raises:
        ProtocolError: an output's data are missing or not what its description says.
    """
    outputs: Outputs = {}
    for name, datatype, sizes in described:
        shape = tuple(sizes)
        if 0 in shape:
            outputs[name] = np.empty(shape, dtype=triton_to_np_dtype(datatype))
            continue
        try:
            array = result.as_numpy(name)
        # KeyError: it came as neither binary nor JSON; the others: it has another length.
        except (KeyError, ValueError, struct.error) as error:
            raise ProtocolError(f"output {name!r} cannot be read: {error}") from error
        outputs[name] = array
    return outputs
