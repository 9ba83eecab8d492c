import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurum.imaging.faces import (
    LISTED,
    Candidates,
    as_faces,
    non_max_suppression,
    select_faces,
    without_fragments,
)

ONE = np.ones(2, np.float32)


def faces(boxes, scores):
    """Candidates, best first, with landmarks that identify their box."""
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    landmarks = boxes[:, None, :2] + np.arange(10, dtype=np.float32).reshape(5, 2)
    return Candidates(boxes, landmarks, np.array(scores, np.float32))


def iou(one, other):
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right = min(one[0] + one[2], other[0] + other[2])
    bottom = min(one[1] + one[3], other[1] + other[3])
    common = max(0.0, right - left) * max(0.0, bottom - top)
    return common / (one[2] * one[3] + other[2] * other[3] - common)


def naive(candidates, min_confidence, nms_iou):
    """Textbook greedy NMS: the indices that remain, largest first."""
    kept = []
    for index, score in enumerate(candidates.scores):
        box = candidates.boxes[index].astype(float)
        if score >= min_confidence and all(
            iou(box, candidates.boxes[other].astype(float)) <= nms_iou for other in kept
        ):
            kept.append(index)
    return sorted(
        kept, key=lambda index: -(candidates.boxes[index, 2] * candidates.boxes[index, 3])
    )


@settings(max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 60),
    min_confidence=st.floats(0.05, 0.95),
    nms_iou=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]),
)
def test_selection_agrees_with_textbook_nms(seed, count, min_confidence, nms_iou):
    random = np.random.default_rng(seed)
    boxes = np.hstack([random.uniform(0, 100, (count, 2)), random.uniform(5, 60, (count, 2))])
    scores = np.sort(random.uniform(0.01, 1, count))[::-1]
    candidates = faces(boxes, scores)

    found = select_faces(candidates, ONE, min_confidence, nms_iou)

    expected = candidates.take(np.array(naive(candidates, min_confidence, nms_iou), np.intp))
    assert np.array_equal(found.boxes, expected.boxes)
    # Each is a mean of landmarks near its own.
    reach = 0.25 * expected.boxes[:, 2:].max(axis=1, initial=0) + 1e-3
    assert (np.abs(found.landmarks - expected.landmarks).max(axis=(1, 2), initial=0) < reach).all()
    assert np.array_equal(found.scores, expected.scores)


def test_the_threshold_is_inclusive():
    candidates = faces([[0, 0, 10, 10], [50, 0, 10, 10]], [0.75, 0.5])

    assert select_faces(candidates, ONE, 0.5, 0.3).scores.tolist() == [0.75, 0.5]
    assert select_faces(candidates, ONE, 0.500001, 0.3).scores.tolist() == [0.75]
    assert len(select_faces(candidates, ONE, 1.0, 0.3).scores) == 0


def test_at_threshold_zero_a_score_of_zero_is_still_no_face():
    candidates = faces([[0, 0, 10, 10], [50, 0, 10, 10]], [1e-6, 0])

    assert len(select_faces(candidates, ONE, 0, 0.3).scores) == 1


def test_of_overlapping_boxes_the_highest_score_stays():
    candidates = faces([[0, 0, 10, 10], [1, 1, 10, 10], [100, 0, 10, 10]], [0.9, 0.8, 0.7])

    found = select_faces(candidates, ONE, 0.5, 0.2)

    assert found.scores.tolist() == pytest.approx([0.9, 0.7])


def test_faces_come_largest_first_and_keep_their_landmarks():
    candidates = faces([[0, 0, 10, 10], [50, 0, 30, 30], [100, 0, 20, 20]], [0.9, 0.8, 0.7])

    found = select_faces(candidates, ONE, 0.5, 0.3)

    assert found.boxes[:, 2].tolist() == [30, 20, 10]
    assert found.landmarks[:, 0, 0].tolist() == [50, 100, 0]


def test_each_axis_is_scaled_to_the_photo_separately():
    candidates = faces([[10, 20, 30, 40]], [0.9])

    found = select_faces(candidates, np.array([0.5, 0.25], np.float32), 0.5, 0.3)

    assert found.boxes.tolist() == [[20, 80, 60, 160]]
    assert found.landmarks[0, 1].tolist() == [(10 + 2) / 0.5, (20 + 3) / 0.25]
    assert [part.dtype for part in found[:3]] == [np.float32] * 3


@pytest.mark.parametrize("scores", [[], [0.1, 0.1]])
def test_no_faces_give_empty_arrays(scores):
    boxes = [[0, 0, 10, 10]] * len(scores)

    found = select_faces(faces(boxes, scores), ONE, 0.5, 0.3)

    assert [part.shape for part in found] == [(0, 4), (0, 5, 2), (0,), (0,), (0,)]
    assert [part.dtype for part in found] == [*[np.float32] * 3, np.int32, np.float32]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("where", ["box", "size", "landmark", "score"])
def test_impossible_candidates_are_dropped_and_affect_no_other(value, where):
    candidates = faces([[0, 0, 10, 10], [0, 0, 12, 12], [50, 0, 10, 10]], [0.9, 0.8, 0.7])
    if where == "box":
        candidates.boxes[0, 0] = value
    elif where == "size":
        candidates.boxes[0, 2:] = value
    elif where == "landmark":
        candidates.landmarks[0, 3, 1] = value
    else:
        candidates.scores[0] = np.nan

    found = select_faces(candidates, ONE, 0.5, 0.3)

    assert found.scores.tolist() == pytest.approx([0.8, 0.7])


@pytest.mark.parametrize("size", [(0, 10), (10, 0), (-5, -5), (0, 0)])
def test_a_box_without_an_area_is_no_face(size):
    candidates = faces([[0, 0, *size], [50, 0, 10, 10]], [0.9, 0.7])

    assert select_faces(candidates, ONE, 0.5, 0.3).scores.tolist() == pytest.approx([0.7])


# --- landmarks of several candidates ---


def test_landmarks_are_the_mean_over_one_faces_candidates():
    candidates = faces([[0, 0, 40, 40], [2, 0, 40, 40], [100, 0, 40, 40]], [0.9, 0.9, 0.8])

    found = select_faces(candidates, ONE, 0.5, 0.3)

    assert found.landmarks[0, 0].tolist() == pytest.approx([1, 1])
    assert found.landmarks[1, 0].tolist() == pytest.approx([100, 1])


def test_a_low_scoring_candidate_hardly_moves_them():
    candidates = faces([[0, 0, 40, 40], [4, 0, 40, 40]], [0.9, 0.5])

    found = select_faces(candidates, ONE, 0.5, 0.3)

    assert 0 < found.landmarks[0, 0, 0] < 0.05


# --- full lists ---


def test_a_list_that_ends_above_the_threshold_is_incomplete():
    full = faces([[x, 0, 9, 9] for x in range(LISTED)], np.linspace(0.9, 0.5, LISTED))

    assert not full.complete(0.5)
    assert full.complete(0.51)
    assert full.take(slice(100)).complete(0.5), "the list was not full, so there are no more"


def test_candidates_that_only_another_image_of_the_batch_needs_are_dropped():
    scores = np.concatenate([np.linspace(0.9, 0.2, 300), np.linspace(0.09, 0.01, 300)])
    listed = faces([[x, 0, 9, 9] for x in range(600)], scores)

    assert len(listed.without_batch_padding().scores) == 301
    assert listed.without_batch_padding().scores[-1] == pytest.approx(0.09)


# --- several looks ---


def seen(boxes, scores):
    return as_faces(faces(boxes, scores))


def test_fragments_of_a_face_from_a_finer_look_are_dropped():
    whole = seen([[0, 0, 1000, 1000]], [0.9])
    eye, other, corner = [300, 300, 400, 400], [1200, 100, 400, 400], [0, 0, 90, 90]
    fine = seen([eye, other, corner], [0.8, 0.8, 0.8])

    kept = without_fragments(fine, whole, limit=512)

    assert kept.boxes.tolist() == [other, corner]


@pytest.mark.parametrize(
    ("piece", "score", "limit", "why"),
    [
        ([300, 300, 400, 400], 0.95, 512, "it is surer than the large one"),
        ([300, 300, 400, 400], 0.8, 1200, "the fine look could see the large one whole"),
        ([50, 50, 900, 900], 0.8, 512, "it is of the same size: NMS chooses"),
        ([450, 450, 90, 90], 0.8, 512, "it is too small for a piece"),
    ],
)
def test_a_possible_face_of_its_own_is_kept(piece, score, limit, why):
    whole = seen([[0, 0, 1000, 1000]], [0.9])

    assert len(without_fragments(seen([piece], [score]), whole, limit).scores) == 1, why


def test_best_apart_follows_the_keys():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 10, 10], [50, 0, 10, 10]], np.float32)

    assert non_max_suppression(boxes, np.array([0.5, 0.9, 0.7], np.float32), 0.3).tolist() == [1, 2]
    assert non_max_suppression(boxes[:0], np.zeros(0, np.float32), 0.3).tolist() == []
