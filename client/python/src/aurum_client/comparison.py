"""Comparison of two embeddings: similarity, decision and probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from aurum_client._storage import Storable
from aurum_client.calibration import DEFAULT_FAR, check_far, check_prior
from aurum_client.errors import ModelMismatchError
from aurum_client.results import Embedding, Face

Decision: TypeAlias = Literal["match", "no match", "not recognizable", "uncalibrated"]


@dataclass(frozen=True, slots=True, eq=False)
class Comparison(Storable):
    """The similarity of two faces and the decision that follows from it.

    ``similarity``: the cosine of the embeddings, -1 to 1; near 1 for the same person. ``a``, ``b``:
    the embeddings. ``far``: the requested false accept rate. ``threshold``: the minimum similarity
    of a match at that rate. ``match``: whether the similarity reaches it. ``probability``: the
    probability, 0 to 1, that both faces are the same person.

    Without a calibrated embedder, ``threshold``, ``match`` and ``probability`` are None. ``match``
    and ``probability`` are also None if a face is not recognizable: such a face is as similar to
    equally degraded faces of other people as to its owner's.
    """

    similarity: float
    a: Embedding
    b: Embedding
    far: float
    threshold: float | None
    match: bool | None
    probability: float | None

    @classmethod
    def between(
        cls, a: Embedding, b: Embedding, *, far: float = DEFAULT_FAR, prior: float | None = None
    ) -> Comparison:
        """Compare two embeddings, new or stored, using the calibration of ``a``.

        ``far``: the false accept rate: 1e-4, 1e-3 or 1e-2. ``prior``: see
        :meth:`Calibration.probability`.

        Raises:
            ModelMismatchError: the embeddings come from different embedders.
            ValueError: ``far`` is not one of these rates, or ``prior`` is not above 0 and below 1.
        """
        check_far(far)
        check_prior(prior)
        if a.models.embedder != b.models.embedder:
            raise ModelMismatchError(
                "embeddings from different models can't be compared: "
                f"{a.models.embedder} and {b.models.embedder}"
            )
        # Rounding can push the dot product of two unit vectors slightly above 1.
        cosine = float(np.clip(np.dot(a.vector, b.vector), -1.0, 1.0))
        if a.calibration is None:
            return cls(cosine, a, b, far, None, None, None)
        threshold = a.calibration.thresholds[far]
        if not _decidable(a, b):
            return cls(cosine, a, b, far, threshold, None, None)
        probability = a.calibration.probability(cosine, prior)
        return cls(cosine, a, b, far, threshold, cosine >= threshold, probability)

    @property
    def decision(self) -> Decision:
        """The decision as text: ``match``, or why there is none.

        "not recognizable" takes precedence over "uncalibrated".
        """
        if not _decidable(self.a, self.b):
            return "not recognizable"
        if self.match is None:
            return "uncalibrated"
        return "match" if self.match else "no match"

    @property
    def gated(self) -> bool:
        """Whether it is known of both faces if they are recognizable.

        False for embeddings that were stored without ``recognizable``, and for embedders that don't
        report it: a match may then be between two unrecognizable faces.
        """
        return self.a.recognizable is not None and self.b.recognizable is not None

    @property
    def reason(self) -> str | None:
        """Which face is not recognizable and why ("first photo: sharpness 0.21"), or None."""
        sides = {"first": self.a.face, "second": self.b.face}
        reasons = (
            f"{name} photo: {_defect(face)}"
            for name, face in sides.items()
            if face.recognizable is False
        )
        return "; ".join(reasons) or None


def _decidable(*embeddings: Embedding) -> bool:
    return all(embedding.recognizable is not False for embedding in embeddings)


def _defect(face: Face) -> str:
    if face.defect is None:
        return "reason unknown"  # a stored embedding without a defect
    if face.quality_parts is None:
        return face.defect
    return f"{face.defect} {getattr(face.quality_parts, face.defect):.3g}"
