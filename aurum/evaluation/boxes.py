"""Match detections with annotated faces: overlaps, matches, landmark errors.

Boxes are [x, y, width, height] in pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from aurum.imaging.overlap import Floats, iou

MIN_IOU = 0.5  # of a match, as in PASCAL VOC and WIDER FACE


def clip(boxes: Floats, width: float, height: float) -> NDArray[np.float64]:
    """Clip boxes to the frame; boxes outside get a side of 0."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    frame = np.array([width, height])
    low = np.clip(boxes[:, :2], 0, frame)
    high = np.clip(boxes[:, :2] + boxes[:, 2:], 0, frame)
    return np.concatenate([low, high - low], axis=1)


class Match(NamedTuple):
    """Assignment of detections to faces."""

    pairs: NDArray[np.intp]  # [M,2] index of the face, index of the detection
    overlaps: NDArray[np.float64]  # [M] their IoU
    missed: NDArray[np.intp]  # faces without a detection
    extra: NDArray[np.intp]  # detections without a face: false positives


def match(truth: Floats, found: Floats, ignored: Floats, least: float = MIN_IOU) -> Match:
    """Match faces [T,4] and detections [D,4] one to one, with the largest sum of IoU.

    A detection that matches only one of `ignored` [I,4] (too small or doubtful to count) is neither
    right nor wrong, as in WIDER FACE and COCO.
    """
    overlap = iou(truth, found)
    # Overlaps below the limit must not influence the assignment.
    rows, columns = linear_sum_assignment(-np.where(overlap >= least, overlap, 0))
    good = overlap[rows, columns] >= least
    rows, columns = rows[good], columns[good]
    missed = np.setdiff1d(np.arange(len(overlap)), rows)
    extra = np.setdiff1d(np.arange(overlap.shape[1]), columns)
    excused = iou(np.asarray(found).reshape(-1, 4)[extra], ignored).max(axis=1, initial=0) >= least
    return Match(np.stack([rows, columns], axis=1), overlap[rows, columns], missed, extra[~excused])


def landmark_error(truth: Floats, found: Floats) -> float:
    """Compute the mean distance of five landmarks [5,2], relative to that of the true eyes.

    This is the usual inter-ocular "normalized mean error"; 0.05 is 5 % of the eyes' distance.
    """
    truth, found = np.asarray(truth, np.float64), np.asarray(found, np.float64)
    eyes = float(np.linalg.norm(truth[0] - truth[1]))
    return float(np.linalg.norm(truth - found, axis=1).mean() / eyes) if eyes else float("nan")
