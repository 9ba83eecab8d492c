"""Evaluate face verification by the service's embeddings on LFW-style pairs."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from aurum_client import AurumError
from numpy.typing import NDArray

from aurum.evaluation import ValidationError, ask, lfw, roc
from aurum.evaluation.ask import Answer, Photo
from aurum.evaluation.lfw import Pair
from aurum.evaluation.target import Target

FARS = (1e-2, 1e-3)
# Score of a pair with a photo without a face: below every cosine, so it counts as two people. For a
# pair of one person that is an error, as it would be for a user of the service.
NO_FACE = -2.0


@dataclass(frozen=True)
class Embedded:
    """The embedding of each photo's central face, and the photos that failed."""

    vectors: dict[str, NDArray[np.float32]]  # by photo, [512] of length 1
    faces: dict[str, int]  # by photo, number of faces
    errors: dict[str, str]  # by photo, the service's error message

    @property
    def without_face(self) -> list[str]:
        """Photos in which no face was found."""
        return [name for name, count in self.faces.items() if not count]

    @property
    def success(self) -> float:
        """Share of photos with a valid embedding: finite, and of length 1 within 1e-3."""
        return len(self.vectors) / max(1, len(self.faces) + len(self.errors))


def central(answer: Answer) -> int | None:
    """Return the index of the face whose box centre is nearest to the photo's centre.

    This follows LFW: a photo is centred on the person that it is named after, and may show others.
    """
    if not answer.faces:
        return None
    middles = answer.boxes[:, :2] + answer.boxes[:, 2:] / 2
    return int(np.argmin(np.linalg.norm(middles - answer.image_size / 2, axis=1)))


def embed(target: Target, folder: Path, names: Sequence[str], out: Path) -> Embedded:
    """Send the photos `names` of `folder` through `analyze_faces`."""
    photos = [Photo(name, (folder / name).read_bytes) for name in names]
    found = Embedded({}, {}, {})
    for name, answer in ask.everything(target, photos, out, embed=True):
        if isinstance(answer, AurumError):
            found.errors[name] = str(answer)
            continue
        found.faces[name] = answer.faces
        index = central(answer)
        if index is not None:
            vector = answer.embeddings[index]
            if abs(float(np.linalg.norm(vector)) - 1) < 1e-3:  # False for NaN
                found.vectors[name] = vector
    return found


def similarities(
    pairs: Sequence[Pair], vectors: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float64]:
    """Return each pair's cosine, or NO_FACE if one of its photos has no embedding; [P]."""
    return np.array(
        [
            float(vectors[pair.a] @ vectors[pair.b])
            if pair.a in vectors and pair.b in vectors
            else NO_FACE
            for pair in pairs
        ]
    )


@dataclass(frozen=True)
class Verification:
    """All results of one run."""

    pairs: list[Pair]
    embedded: Embedded
    scores: NDArray[np.float64]  # [P]
    folds: roc.Folds
    at_far: tuple[roc.AtFar, ...]
    ranges: tuple[tuple[float, float], ...]  # bootstrap intervals of the TARs

    @property
    def same(self) -> NDArray[np.bool_]:
        """Which pairs show one person; [P]."""
        return np.array([pair.same for pair in self.pairs])

    def worst(self, count: int) -> list[int]:
        """Return indices of the pairs furthest on the wrong side of the mean threshold, sorted."""
        threshold = self.folds.thresholds.mean()
        wrong = np.where(self.same, threshold - self.scores, self.scores - threshold)
        return [int(index) for index in np.argsort(-wrong, kind="stable")[:count]]


def evaluate(pairs: Sequence[Pair], embedded: Embedded) -> Verification:
    """Compute all results from the photos' embeddings."""
    scores = similarities(pairs, embedded.vectors)
    same = np.array([pair.same for pair in pairs])
    folds = roc.cross_validate(scores, same, np.array([pair.fold for pair in pairs]))
    return Verification(
        list(pairs),
        embedded,
        scores,
        folds,
        tuple(roc.tar_at_far(scores, same, far) for far in FARS),
        tuple(roc.bootstrap_tar(scores, same, far) for far in FARS),
    )


def run(target: Target, folder: Path, pairs_file: Path, out: Path) -> Verification:
    """Query the service and evaluate its answers; raw figures go to `out`."""
    pairs = lfw.read_pairs(pairs_file)
    names = sorted({name for pair in pairs for name in (pair.a, pair.b)})
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ValidationError(
            f"{folder}: {len(missing)} photos of {pairs_file.name} are missing, first {missing[0]}"
        )
    result = evaluate(pairs, embed(target, folder, names, out))
    save(result, out)
    return result


def save(result: Verification, out: Path) -> None:
    """Write raw figures to `pairs.csv` and the embeddings to `embeddings.npz`."""
    with (out / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["fold", "same", "a", "b", "similarity", "right"])
        for pair, score, same in zip(result.pairs, result.scores, result.same, strict=True):
            right = (score >= result.folds.thresholds[pair.fold]) == same
            writer.writerow([pair.fold + 1, int(same), pair.a, pair.b, f"{score:.6f}", int(right)])
    vectors = result.embedded.vectors
    np.savez(
        out / "embeddings.npz",
        photos=np.array(list(vectors)),
        embeddings=np.array(list(vectors.values()), np.float32),
    )


def report(result: Verification, target: Target, dataset: str, command: str) -> str:
    """Return the report in Markdown."""
    embedded, folds, same = result.embedded, result.folds, result.same
    positives, negatives = int(same.sum()), int((~same).sum())
    several = sum(count > 1 for count in embedded.faces.values())
    photos = len(embedded.faces) + len(embedded.errors)
    error = "" if math.isnan(folds.standard_error) else f" ± {folds.standard_error:.2%}"
    lines = [
        f"# Verification: {dataset}",
        "",
        f"`{command}`",
        "",
        f"Detector `{target.detector}`, embedder `{target.embedder}`, through `analyze_faces`.",
        "",
        "| figure | value |",
        "| --- | --- |",
        f"| pairs: one person, two | {positives}, {negatives} in {len(folds.accuracies)} sets |",
        f"| accuracy, mean ± standard error | {folds.mean:.2%}{error} |",
        f"| accuracy of each set | {', '.join(f'{value:.2%}' for value in folds.accuracies)} |",
        f"| thresholds | {', '.join(f'{value:.3f}' for value in folds.thresholds)} |",
    ]
    for item, (low, high) in zip(result.at_far, result.ranges, strict=True):
        far_low, far_high = roc.wilson(item.accepted, item.impostors)
        lines.append(
            f"| TAR at FAR {item.far:g} | {item.tar:.2%} (bootstrap {low:.2%} to {high:.2%}), "
            f"threshold {item.threshold:.3f}, {item.accepted} of {item.impostors} accepted: the "
            f"true FAR is {far_low:.3%} to {far_high:.3%} (Wilson, 95 %) |"
        )
    lines += [
        f"| equal error rate | {roc.equal_error(result.scores, same):.2%} |",
        f"| area under the ROC | {roc.area(result.scores, same):.5f} |",
        f"| photos, without a face, refused | {photos}, {len(embedded.without_face)}, "
        f"{len(embedded.errors)} |",
        f"| photos with several faces (the central one counts) | {several} |",
        f"| embedding success | {embedded.success:.2%} |",
        "",
        "The accuracy's threshold is chosen on the other sets. TAR at FAR x: at the lowest "
        "threshold that accepts at most floor(x * pairs of two people) of them; nothing is "
        "interpolated. A pair with a photo without a face counts as two people.",
        "",
    ]
    failed = [*embedded.without_face, *(f"{n}: {why}" for n, why in embedded.errors.items())]
    if failed:
        lines += ["Photos that failed:", "", *(f"- {line}" for line in failed[:50]), ""]
    return "\n".join(lines)
