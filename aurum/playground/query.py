"""Parse a search among members: a face's embedding, and the options."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from aurum_client import Box, Embedding, Face, ModelIds

from aurum.contract import EMBEDDING_SIZE, LANDMARK_COUNT, QUALITY_PARTS, RECOGNIZABLE
from aurum.pipeline.request import shortened

OPTIONS = ("top", "far", "false_matches")
FIELDS = ("embedding", "embedder", "gate", *OPTIONS)


class QueryError(ValueError):
    """A search is not what is allowed; the message says what is."""


def parse(body: bytes) -> tuple[Embedding, dict[str, Any]]:
    """Parse the JSON of a search; return the face, and the given options of `Members.search`.

    Its `embedding`, `embedder` and `gate` are the service's outputs for one face; `gate` and the
    options may be missing or null. The options' ranges are not checked here.

    Raises QueryError.
    """
    try:
        # As floats, so that no integer is too large for the comparisons below.
        given = json.loads(body, parse_int=float)
    except (ValueError, RecursionError):
        raise QueryError("a search must be JSON") from None
    if not isinstance(given, dict):
        raise QueryError("a search must be a JSON object")
    if unknown := sorted(given.keys() - set(FIELDS)):
        allowed = ", ".join(FIELDS)
        raise QueryError(f"{shortened(unknown[0])!r} is unknown: a search may have {allowed}")
    options = {name: _number(name, given[name]) for name in OPTIONS if given.get(name) is not None}
    if "top" in options:
        options["top"] = _whole("top", options["top"])
    return _face(given), options


def _face(given: dict[str, Any]) -> Embedding:
    embedder = given.get("embedder")
    if not isinstance(embedder, str) or not embedder.isprintable() or not embedder:
        raise QueryError("embedder: must be the embedder's id, as in the service's answer")
    values = given.get("embedding")
    if not isinstance(values, list) or len(values) != EMBEDDING_SIZE:
        raise QueryError(f"embedding: must be a list of {EMBEDDING_SIZE} numbers")
    # Each in -1..1 but for rounding, so that float32 can hold it.
    if not all(isinstance(value, float) and abs(value) < 1.001 for value in values):
        raise QueryError("embedding: must have numbers from -1 to 1")
    vector = np.array(values, np.float32)
    if not abs(np.linalg.norm(vector) - 1) < 1e-3:
        raise QueryError("embedding: must have length 1")
    gate = given.get("gate")
    if gate is not None:
        gate = _whole("gate", gate)
        if not RECOGNIZABLE <= gate < len(QUALITY_PARTS):
            raise QueryError(f"gate={gate}: must be {RECOGNIZABLE} to {len(QUALITY_PARTS) - 1}")
    face = Face(
        Box(0, 0, 0, 0),  # a search asks neither where the face was nor how sure the detector is
        np.zeros((LANDMARK_COUNT, 2), np.float32),
        0,
        vector,
        recognizable=None if gate is None else gate == RECOGNIZABLE,
        defect=None if gate in (None, RECOGNIZABLE) else QUALITY_PARTS[gate],
    )
    return Embedding(vector, face, (0, 0), ModelIds(None, shortened(embedder)))


def _number(name: str, value: Any) -> float:
    if not isinstance(value, float):  # which true is not
        raise QueryError(f"{name}: must be a number")
    return value


def _whole(name: str, value: Any) -> int:
    number = _number(name, value)
    if not number.is_integer():
        raise QueryError(f"{name}={number:g}: must be a whole number")
    return int(number)
