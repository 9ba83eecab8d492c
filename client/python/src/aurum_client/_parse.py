"""Convert output tensors and model metadata to results, checking them against the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from aurum_client._contract import CALIBRATION_SIZE, EMBEDDING_SIZE, LANDMARKS, RECOGNIZABLE
from aurum_client._text import shown
from aurum_client.calibration import Calibration
from aurum_client.errors import ProtocolError
from aurum_client.results import (
    NOT_REPORTED,
    NOT_SCORED,
    Analysis,
    Embedding,
    Faces,
    Floats,
    Ints,
    ModelIds,
    ModelInfo,
    QualityParts,
    TensorInfo,
)
from aurum_client.transport import Outputs


def parse_faces(outputs: Outputs, request_id: str | None = None) -> Faces:
    """Parse the outputs of ``detect_faces``, ignoring outputs that the contract doesn't name.

    ``request_id``: that of the request, for the result.

    Raises:
        ProtocolError: an output is missing or has another dtype or shape.
    """
    return Faces(**_common(outputs), request_id=request_id)


def parse_analysis(outputs: Outputs, request_id: str | None = None) -> Analysis:
    """Parse the outputs of ``analyze_faces``; see :func:`parse_faces`."""
    common = _common(outputs)
    faces = len(common["scores"])
    parts = _floats(outputs, "quality_parts", (faces, None))
    known = len(QualityParts._fields)
    if parts.shape[1] < known:
        raise ProtocolError(f"output 'quality_parts' has {parts.shape[1]} columns, not {known}")
    return Analysis(
        **common,
        embeddings=_embeddings(outputs, faces),
        quality=_floats(outputs, "quality", (faces,)),
        quality_parts=parts[:, :known],  # later servers may send more
        calibration=_calibration(outputs),
        gate=_gate(outputs, faces),
        request_id=request_id,
        liveness=_liveness(outputs, faces),
    )


def parse_embedding(outputs: Outputs, request_id: str | None = None) -> Embedding:
    """Parse the outputs of ``embed_face``: exactly one face and the embedder's id.

    Raises:
        ProtocolError: as :func:`parse_faces`, or another number of faces, or no embedder id.
    """
    # Servers of version 0.1.0 don't assess its quality.
    faces = parse_analysis(outputs) if "quality" in outputs else parse_faces(outputs)
    if len(faces) != 1:
        raise ProtocolError(f"expected one face, the response has {len(faces)}")
    # Without it, embeddings from different models could be compared unnoticed.
    if faces.models.embedder is None:
        raise ProtocolError("the response does not name its embedder")
    vector = _embeddings(outputs, 1)[0]
    face = replace(faces[0], embedding=vector)
    return Embedding(
        vector,
        face,
        faces.image_size,
        faces.models,
        _calibration(outputs),
        faces.complete,
        request_id,
    )


def parse_metadata(metadata: Mapping[str, Any], *, ready: bool) -> ModelInfo:
    """Parse a model's metadata. gRPC's JSON omits empty fields and quotes integers.

    Raises:
        ProtocolError: ``metadata`` is not Triton's model metadata.
    """
    try:
        return ModelInfo(
            name=metadata["name"],
            versions=tuple(metadata.get("versions", ())),
            ready=ready,
            inputs=tuple(map(_tensor_info, metadata.get("inputs", ()))),
            outputs=tuple(map(_tensor_info, metadata.get("outputs", ()))),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"not model metadata: {shown(metadata)}") from error


def _common(outputs: Outputs) -> dict[str, Any]:
    scores = _floats(outputs, "scores", (None,))
    faces = len(scores)
    width, height = _tensor(outputs, "image_size", np.int32, (2,)).tolist()
    # Servers of version 0.1.0 don't send these; the results have defaults.
    optional: dict[str, Any] = {}
    if "rotations" in outputs:
        optional["rotations"] = _tensor(outputs, "rotations", np.int32, (faces,))
    if "complete" in outputs:
        (optional["complete"],) = _tensor(outputs, "complete", np.bool_, (1,)).tolist()
    return {
        "boxes": _floats(outputs, "boxes", (faces, 4)),
        "landmarks": _floats(outputs, "landmarks", (faces, LANDMARKS, 2)),
        "scores": scores,
        "image_size": (width, height),
        "models": _model_ids(outputs),
        **optional,
    }


def _gate(outputs: Outputs, faces: int) -> Ints:
    if "gate" not in outputs:
        return NOT_REPORTED
    gate: Ints = _tensor(outputs, "gate", np.int32, (None,))
    if len(gate) not in (0, faces):
        raise ProtocolError(f"output 'gate' has {len(gate)} values, not {faces} or 0")
    most = len(QualityParts._fields) - 1
    if not ((gate >= RECOGNIZABLE) & (gate <= most)).all():
        raise ProtocolError(f"output 'gate' is {gate.tolist()}, not {RECOGNIZABLE} to {most}")
    return gate


def _liveness(outputs: Outputs, faces: int) -> Floats:
    if "liveness" not in outputs:
        return NOT_SCORED  # by a server of version 0.2 or earlier
    liveness = _floats(outputs, "liveness", (None,))
    if len(liveness) not in (0, faces):
        raise ProtocolError(f"output 'liveness' has {len(liveness)} values, not {faces} or 0")
    return liveness


def _embeddings(outputs: Outputs, faces: int) -> Floats:
    return _floats(outputs, "embeddings", (faces, EMBEDDING_SIZE))


def _calibration(outputs: Outputs) -> Calibration | None:
    row = _floats(outputs, "calibration", (None,)).tolist()
    if len(row) not in (0, CALIBRATION_SIZE):
        raise ProtocolError(
            f"output 'calibration' has {len(row)} numbers, not {CALIBRATION_SIZE} or 0"
        )
    return Calibration.from_row(row) if row else None


def _floats(outputs: Outputs, name: str, shape: tuple[int | None, ...]) -> Floats:
    array: Floats = _tensor(outputs, name, np.float32, shape)
    return array


def _tensor(
    outputs: Outputs, name: str, dtype: npt.DTypeLike, shape: tuple[int | None, ...]
) -> npt.NDArray[Any]:
    """Return a read-only view of an output; None in ``shape`` matches any size."""
    array = outputs.get(name)
    if array is None:
        raise ProtocolError(f"the response has no output {name!r}")
    fits = len(array.shape) == len(shape) and all(
        want in (None, size) for want, size in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        wanted = str(list(shape)).replace("None", "any")
        raise ProtocolError(
            f"output {name!r} is {array.dtype} {list(array.shape)}, "
            f"expected {np.dtype(dtype)} {wanted}"
        )
    array = array.view()
    array.flags.writeable = False
    return array


def _model_ids(outputs: Outputs) -> ModelIds:
    names = _tensor(outputs, "models", np.object_, (2,)).tolist()
    try:
        detector, embedder = (name.decode() or None for name in names)
    except (AttributeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"output 'models' is not text: {shown(names)}") from error
    return ModelIds(detector, embedder)


def _tensor_info(tensor: Mapping[str, Any]) -> TensorInfo:
    return TensorInfo(
        tensor["name"], tensor["datatype"], tuple(int(size) for size in tensor.get("shape", ()))
    )
