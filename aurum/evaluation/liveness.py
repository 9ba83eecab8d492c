"""`aurum validate liveness`: how often real faces are refused and attacks accepted.

The largest face of each photo counts. Without photos of real attacks, attacks are made by code
(aurum.evaluation.attacks) from some of the genuine photos.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aurum.contract import LIVE_FROM
from aurum.evaluation import ValidationError, ask, attacks, roc
from aurum.evaluation.ask import Answer, Photo
from aurum.evaluation.detection import spread
from aurum.evaluation.photos import jpeg
from aurum.evaluation.target import Target

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, LIVE_FROM, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


class Scores(NamedTuple):
    """The liveness of the largest faces of some photos."""

    name: str
    photos: int
    liveness: NDArray[np.float32]  # [n], of the photos with a face

    def below(self, threshold: float) -> int:
        """Number of faces below `threshold`."""
        return int(np.sum(self.liveness < threshold))


def run(
    target: Target, genuine: Sequence[Path], given: Sequence[Path], out: Path, faces: int
) -> tuple[list[Scores], list[Scores]]:
    """Score genuine photos and attacks; return the scores of both.

    Raises ValidationError if either has no face at all, or if the service doesn't score liveness.

    Args:
        target: the service.
        genuine: photos of real faces.
        given: photos of attacks; without any, they are made from genuine photos.
        out: folder of the raw answers.
        faces: number of photos that attacks are made from.
    """
    real = [_score(target, "genuine photos", [_file(path) for path in genuine], out)]
    _need(real)
    if given:
        false = [_score(target, "attacks", [_file(path) for path in given], out)]
    else:
        chosen = [Path(name) for name in spread([str(path) for path in genuine], faces)]
        real.append(_made(target, "the same, enlarged", attacks.enlarged, chosen, out))
        false = [_made(target, name, attack, chosen, out) for name, attack in attacks.KINDS.items()]
    _need(false)
    return real, false


def report(
    real: Sequence[Scores], false: Sequence[Scores], target: Target, command: str, made: bool
) -> str:
    """Return the report in Markdown. `made`: the attacks were made by code."""
    everything = Scores(
        "all", sum(item.photos for item in false), np.concatenate([item.liveness for item in false])
    )
    lines = [
        "# Liveness",
        "",
        f"`{command}`",
        "",
        f"Detector `{target.detector}`. The largest face of each photo; intervals of 95 %. "
        f"A face counts as live from {LIVE_FROM:g} on.",
        "",
        "**The attacks were made by code, from the genuine photos**: no photo of a real attack is "
        "among them."
        if made
        else "The attacks are the given photos.",
        "",
        "| photos | with a face | median | wrong at the threshold |",
        "| --- | --- | --- | --- |",
    ]
    for items, what in ((real, "refused"), (false, "accepted")):
        for item in items:
            count, below = len(item.liveness), item.below(LIVE_FROM)
            cells = ["-", "-"]
            if count:
                wrong = below if what == "refused" else count - below
                low, high = roc.wilson(wrong, count)
                rate = f"{wrong / count:.1%} {what} ({low:.1%} to {high:.1%})"
                cells = [f"{np.median(item.liveness):.3f}", rate]
            lines.append(f"| {item.name} | {count} of {item.photos} | {' | '.join(cells)} |")
    lines += [
        "",
        f"| threshold | {real[0].name} refused | attacks accepted, all kinds |",
        "| --- | --- | --- |",
    ]
    for threshold in THRESHOLDS:
        refused = real[0].below(threshold) / len(real[0].liveness)
        accepted = 1 - everything.below(threshold) / len(everything.liveness)
        lines.append(f"| {threshold:g} | {refused:.1%} | {accepted:.1%} |")
    return "\n".join([*lines, ""])


def _score(target: Target, name: str, photos: Sequence[Photo], out: Path) -> Scores:
    # Not more at a time: each attack takes some 300 MB while it is made.
    answers = ask.everything(target, photos, out, embed=True, concurrency=2, max_faces=1)
    scores = [
        answer.liveness for _, answer in answers if isinstance(answer, Answer) and answer.faces
    ]
    if not all(map(len, scores)):
        raise ValidationError("the service doesn't score liveness: it needs AURUM_LIVENESS=1")
    return Scores(name, len(photos), np.concatenate([np.zeros(0, np.float32), *scores]))


def _need(scores: Sequence[Scores]) -> None:
    if not any(len(item.liveness) for item in scores):
        raise ValidationError(f"{scores[0].name}: no photo can be read and has a face")


def _made(
    target: Target, name: str, attack: attacks.Attack, sources: Sequence[Path], out: Path
) -> Scores:
    photos = [Photo(str(path), partial(_make, path, attack)) for path in sources]
    return _score(target, name, photos, out)


def _make(path: Path, attack: attacks.Attack) -> bytes:
    photo = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if photo is None:
        raise ValidationError(f"{path}: no attack can be made from a photo that can't be read")
    # The same in every run.
    random = np.random.default_rng(zlib.crc32(path.name.encode()))
    return jpeg(attack(np.asarray(photo, np.uint8), random), 95)


def _file(path: Path) -> Photo:
    return Photo(str(path), partial(_read, path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValidationError(f"{path}: {error.strerror}") from error
