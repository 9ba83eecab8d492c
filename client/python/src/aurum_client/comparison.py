"""Two embeddings, and whether they are one person's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from aurum_client.calibration import DEFAULT_FAR, check_far, check_prior
from aurum_client.errors import ModelMismatchError
from aurum_client.results import Embedding, Face

Decision: TypeAlias = Literal["match", "no match", "not recognizable", "uncalibrated"]


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """How alike two faces are, and what follows from that.

    ``similarity``: their cosine, -1 to 1 (same person: near 1). ``far``: the false accept rate
    that was asked for; ``threshold``: the similarity from which, at that rate, they count as one
    person's; ``match``: whether they do; ``probability``: the chance that they are one person's.
    The last three are None where the embedder is not calibrated, the last two also where a face is
    not recognizable: it is as similar to strangers that are spoilt like it as to its owner.
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
        """Compare two embeddings, however long ago each was made, by the calibration of ``a``.

        ``far``: 1e-4, 1e-3 or 1e-2. ``prior``: see :meth:`Calibration.probability`.

        Raises:
            ModelMismatchError: they come from different embedders.
            ValueError: ``far`` or ``prior`` is not allowed.
        """
        check_far(far)
        check_prior(prior)
        if a.models.embedder != b.models.embedder:
            raise ModelMismatchError(
                "embeddings of different models don't compare: "
                f"{a.models.embedder} and {b.models.embedder}"
            )
        # Rounding can carry the product of two unit vectors just past 1.
        cosine = float(np.clip(np.dot(a.vector, b.vector), -1.0, 1.0))
        if a.calibration is None:
            return cls(cosine, a, b, far, None, None, None)
        threshold = a.calibration.thresholds[far]
        if not _all_may_decide(a, b):
            return cls(cosine, a, b, far, threshold, None, None)
        probability = a.calibration.probability(cosine, prior)
        return cls(cosine, a, b, far, threshold, cosine >= threshold, probability)

    @property
    def decision(self) -> Decision:
        """What ``match`` says, or why it says nothing.

        "not recognizable" goes before "uncalibrated".
        """
        if not _all_may_decide(self.a, self.b):
            return "not recognizable"
        if self.match is None:
            return "uncalibrated"
        return "match" if self.match else "no match"

    @property
    def gated(self) -> bool:
        """Whether both faces are known to be recognizable or not.

        False for embeddings that were kept without that, and for embedders of which it is not
        known: then a match may be one of two faces that nobody could recognize.
        """
        return self.a.recognizable is not None and self.b.recognizable is not None

    @property
    def reason(self) -> str | None:
        """Why a face is not recognizable, as "first photo: sharpness 0.21", else None."""
        sides = {"first": self.a.face, "second": self.b.face}
        why = [
            f"{name} photo: {_defect(face)}"
            for name, face in sides.items()
            if face.recognizable is False
        ]
        return "; ".join(why) or None


def _all_may_decide(*embeddings: Embedding) -> bool:
    return all(embedding.recognizable is not False for embedding in embeddings)


def _defect(face: Face) -> str:
    if face.defect is None:
        return "not told why"  # of an embedding that was kept without it
    if face.quality_parts is None:
        return face.defect
    return f"{face.defect} {getattr(face.quality_parts, face.defect):.3g}"
