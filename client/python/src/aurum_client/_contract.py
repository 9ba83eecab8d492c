"""The wire contract, from the asking side: the models' names and the request parameters."""

from __future__ import annotations

import operator
from typing import Any, TypeAlias

import numpy as np
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

Parameters: TypeAlias = dict[str, float | int | bool | str]
Outputs: TypeAlias = dict[str, npt.NDArray[Any]]
"""What comes back: the outputs by name, BYTES as object arrays of ``bytes``."""


def build_parameters(
    *,
    min_confidence: float | None = None,
    max_faces: int | None = None,
    detection_size: int | None = None,
    aligned: bool = False,
    orientation: str | None = None,
    refine: bool | None = None,
    tiles: int | None = None,
) -> Parameters:
    """Return the request parameters; an option left out leaves the choice to the server.

    Types are settled here, as numpy's scalars are neither JSON nor gRPC parameters; the ranges
    are the server's to check.

    Raises:
        TypeError, ValueError: an option is not of its kind.
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
    if orientation is not None:
        if not isinstance(orientation, str):
            raise TypeError(f"orientation must be text, not {type(orientation).__name__}")
        parameters["orientation"] = str(orientation)
    if refine is not None:
        if not isinstance(refine, bool | np.bool_):
            raise TypeError(f"refine must be True or False, not {type(refine).__name__}")
        parameters["refine"] = bool(refine)
    if tiles is not None:
        parameters["tiles"] = operator.index(tiles)
    return parameters
