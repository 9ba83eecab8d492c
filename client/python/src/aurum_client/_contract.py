"""The wire contract: the models' names, and the sizes of what they answer."""

from __future__ import annotations

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
RECOGNIZABLE = -1  # in `gate`, which else has the column of the quality part that says why not

Outputs: TypeAlias = dict[str, npt.NDArray[Any]]
"""What comes back: the outputs by name, BYTES as object arrays of ``bytes``."""
