"""Overlaps, matches and landmark errors against hand-computed cases."""

import math

import numpy as np
import pytest

from aurum.evaluation import boxes
from aurum.imaging.overlap import iou

NONE = np.empty((0, 4))


@pytest.mark.parametrize(
    ("other", "overlap"),
    [
        ([0, 0, 10, 10], 1),
        ([5, 0, 10, 10], 50 / 150),
        ([5, 5, 10, 10], 25 / 175),
        ([0, 0, 5, 10], 0.5),
        ([2, 2, 6, 6], 0.36),
        ([10, 0, 10, 10], 0),
        ([50, 50, 10, 10], 0),
        ([5, 5, 0, 0], 0),
    ],
)
def test_iou(other, overlap):
    one = np.array([[0, 0, 10, 10]])
    assert iou(one, np.array([other]))[0, 0] == pytest.approx(overlap)
    assert iou(np.array([other]), one)[0, 0] == pytest.approx(overlap)


def test_boxes_without_an_area_overlap_nothing():
    assert iou(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [[0]]
    assert iou(NONE, np.zeros((2, 4))).shape == (0, 2)


def test_clip():
    given = np.array([[-5, -5, 10, 10], [90, 40, 20, 20], [200, 0, 5, 5], [1, 2, 3, 4]])
    assert boxes.clip(given, 100, 50).tolist() == [
        [0, 0, 5, 5],
        [90, 40, 10, 10],
        [100, 0, 0, 5],
        [1, 2, 3, 4],
    ]


def test_each_face_matches_its_best_box():
    truth = np.array([[0, 0, 10, 10], [100, 0, 10, 10]])
    found = np.array([[300, 0, 10, 10], [1, 0, 10, 10]])
    match = boxes.match(truth, found, NONE)
    assert match.pairs.tolist() == [[0, 1]]
    assert match.overlaps.tolist() == pytest.approx([90 / 110])
    assert match.missed.tolist() == [1]
    assert match.extra.tolist() == [0]


def test_a_face_found_twice_counts_once():
    truth = np.array([[0, 0, 10, 10]])
    match = boxes.match(truth, np.array([[1, 0, 10, 10], [0, 0, 10, 10]]), NONE)
    assert match.pairs.tolist() == [[0, 1]]
    assert match.extra.tolist() == [0]


def test_the_minimum_overlap_counts_as_a_match():
    truth, found = np.array([[0, 0, 10, 10]]), np.array([[0, 0, 10, 20]])
    assert len(boxes.match(truth, found, NONE).pairs) == 1  # exactly 0.5
    assert len(boxes.match(truth, found, NONE, least=0.51).pairs) == 0
    assert boxes.match(truth, found, NONE, least=0.51).extra.tolist() == [0]


def test_ignored_faces_absorb_only_unmatched_boxes():
    truth, ignored = np.array([[0, 0, 10, 10]]), np.array([[50, 0, 10, 10]])
    found = np.array([[50, 0, 10, 10], [0, 0, 10, 10], [80, 0, 10, 10]])
    match = boxes.match(truth, found, ignored)
    assert match.pairs.tolist() == [[0, 1]]
    assert match.extra.tolist() == [2]
    assert boxes.match(NONE, found[:1], ignored).extra.tolist() == []


def test_nothing_to_match_gives_empty_arrays():
    assert boxes.match(NONE, NONE, NONE).pairs.shape == (0, 2)
    assert boxes.match(np.array([[0, 0, 1, 1]]), NONE, NONE).missed.tolist() == [0]


def test_the_landmark_error_is_relative_to_the_eye_distance():
    truth = np.array([[0, 0], [40, 0], [20, 20], [5, 40], [35, 40]])
    assert boxes.landmark_error(truth, truth) == 0
    assert boxes.landmark_error(truth, truth + np.array([3, 4])) == pytest.approx(5 / 40)
    one = truth.copy()
    one[2] += [0, 20]
    assert boxes.landmark_error(truth, one) == pytest.approx(20 / 5 / 40)
    assert math.isnan(boxes.landmark_error(np.zeros((5, 2)), truth))
