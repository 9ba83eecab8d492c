"""From faces and their embeddings to how fit for recognition each is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum.pipeline.embed import Embedded
from aurum.pipeline.find import Found
from aurum.pipeline.request import RequestError
from aurum.quality.gate import gate
from aurum.quality.parts import PARTS, as_upright, quality, quality_parts, weakest


class Judged(NamedTuple):
    """What is said of F faces."""

    quality: NDArray[np.float32]  # [F], 0..1
    parts: NDArray[np.float32]  # [F,16], columns as in aurum.quality.parts.PARTS
    gate: NDArray[np.int32]  # [F], or [0] where the embedder has none; as aurum.quality.gate


def judge(found: Found, crops: NDArray[np.uint8], embedded: Embedded) -> Judged:
    """Judge the faces of `found`, of which are `crops` and `embedded`."""
    embedder = embedded.embedder.decode()
    boxes, landmarks, scores, rotations, fits = found.faces
    # The score of an aligned crop is the sender's word.
    confidence = scores if found.detector else fits
    parts = quality_parts(
        found.image_size,
        crops,
        boxes,
        landmarks,
        confidence,
        embedded.norms,
        embedded.embeddings,
        embedder,
    )
    total = quality(as_upright(parts, rotations), embedder)
    return Judged(total, parts, gate(parts, embedder))


def refusal(judged: Judged, rotation: int, embedder: bytes, least: float) -> RequestError:
    """``low_quality``: the only face's quality is below `least`; its `rotation` is in degrees."""
    upright = as_upright(judged.parts, np.array([rotation], np.int32))
    part = int(weakest(upright, embedder.decode())[0])
    return RequestError(
        "low_quality",
        f"the face's quality is {judged.quality[0]:.2f}, below min_quality={least:g}; it is "
        f"worst in {PARTS[part]} ({judged.parts[0, part]:.3g})",
    )
