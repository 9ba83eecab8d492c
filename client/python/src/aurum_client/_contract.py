"""The wire contract, from the asking side: the models' names and the request parameters."""

from __future__ import annotations

import operator
from typing import Any, TypeAlias

import numpy.typing as npt

DETECT = "detect_faces"
EMBED = "embed_face"
ANALYZE = "analyze_faces"
DETECTOR = "face_detection"
EMBEDDER = "face_embedding"
PUBLIC_MODELS = (DETECTOR, EMBEDDER, DETECT, EMBED, ANALYZE)

LANDMARKS = 5
EMBEDDING_SIZE = 512
CALIBRATED = 6  # numbers of a calibration

Parameters: TypeAlias = dict[str, float | int | bool]
Outputs: TypeAlias = dict[str, npt.NDArray[Any]]
"""What comes back: the outputs by name, BYTES as object arrays of ``bytes``."""


def build_parameters(
    *,
    min_confidence: float | None = None,
    max_faces: int | None = None,
    detection_size: int | None = None,
    aligned: bool = False,
) -> Parameters:
    """Return the request parameters; an option left out leaves the choice to the server.

    Types are settled here, as numpy's scalars are neither JSON nor gRPC parameters; the ranges
    are the server's to check.

    Raises:
        TypeError, ValueError: an option is not a number of its kind.
    """
    parameters: Parameters = {}
    if min_confidence is not None:
        parameters["min_confidence"] = float(min_confidence)
    if max_faces is not None:
        parameters["max_faces"] = operator.index(max_faces)
    if detection_size is not None:
        parameters["detection_size"] = operator.index(detection_size)
    if aligned:
        parameters["aligned"] = True
    return parameters
