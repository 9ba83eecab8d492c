"""Decide whether the service's answer about a picture is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from aurum_client import Analysis, FaceClient
from numpy.typing import NDArray

from aurum.evaluation import boxes
from benchmarks.gallery.scenes import STRANGER, Find, Picture, portraits

FAR = 1e-3  # false accept rate of the threshold for "same person"


class Verdict(NamedTuple):
    """A description of the answer, and what is wrong with it; empty if all is right."""

    said: str
    wrong: str


class Judge:
    """Compares answers with the two known people, at the embedder's own threshold at FAR."""

    def __init__(self, client: FaceClient) -> None:
        self._client = client
        self._known: dict[str, NDArray[np.float32]] = {}
        for name, data in portraits().items():
            found = client.analyze(data, max_faces=1)
            if not len(found) or found.calibration is None:
                raise ValueError("the gallery needs a service that finds faces and is calibrated")
            self.threshold: float = found.calibration.thresholds[FAR]
            self._known[name] = found.embeddings[0]

    def find(self, data: bytes) -> Find:
        """Locate the largest face."""
        found = self._client.detect(data, max_faces=1)
        return Find(found.boxes[0].astype(np.float64), found.landmarks[0].astype(np.float64))

    def analyze(self, data: bytes) -> Analysis:
        """Analyze a photo with the service's defaults."""
        return self._client.analyze(data)

    def judge(self, picture: Picture, answer: Analysis) -> Verdict:
        """Check that all faces were found, no others, and that each was recognized."""
        likeness = {name: answer.embeddings @ known for name, known in self._known.items()}
        taken = [self._taken(likeness, index) for index in range(len(answer))]
        who = [name if name in self._known else "" for name in picture.people]
        if picture.boxes is None:  # only the number of faces is known
            missed, extra = max(0, len(who) - len(taken)), max(0, len(taken) - len(who))
            pairs = list(zip(sorted(who), sorted(taken), strict=False))
        else:
            match = boxes.match(
                boxes.clip(picture.boxes, *answer.image_size),
                boxes.clip(answer.boxes, *answer.image_size),
                np.zeros((0, 4)),
            )
            missed, extra = len(match.missed), len(match.extra)
            pairs = [(who[face], taken[found]) for face, found in match.pairs.tolist()]
        wrong = [f"{missed} of {len(who)} missed"] if missed else []
        wrong += [f"{extra} found where no face is"] if extra else []
        mistaken = Counter((name, other) for name, other in pairs if name != other)
        wrong += [
            f"{count} x {name or STRANGER} taken for {other or 'nobody known'}"
            for (name, other), count in mistaken.items()
        ]
        return Verdict(self._said(answer, likeness, taken), "; ".join(wrong))

    def _taken(self, likeness: Mapping[str, NDArray[np.float32]], index: int) -> str:
        """Return whom the service recognizes in a face; empty: nobody known."""
        best = max(likeness, key=lambda name: float(likeness[name][index]))
        return best if likeness[best][index] >= self.threshold else ""

    @staticmethod
    def _said(
        answer: Analysis, likeness: Mapping[str, NDArray[np.float32]], taken: list[str]
    ) -> str:
        if not len(answer):
            return "no face"
        if len(answer) == 1:
            alike = ", ".join(f"{name} {float(value[0]):.2f}" for name, value in likeness.items())
            score, quality = float(answer.scores[0]), float(answer.quality[0])
            return f"1 face, score {score:.2f}, quality {quality:.2f}; likeness: {alike}"
        counts = Counter(taken).items()
        names = ", ".join(f"{count} {name or 'nobody known'}" for name, count in counts)
        spread = f"{answer.quality.min():.2f} to {answer.quality.max():.2f}"
        return f"{len(answer)} faces, quality {spread}; taken for: {names}"
