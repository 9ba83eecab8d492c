"""The conditions' photos, and counts of matches by hand."""

import cv2
import images
import numpy as np
import pytest

from aurum.evaluation import conditions
from aurum.evaluation.conditions import CONDITIONS, UNTOUCHED, Face

POINTS = np.array([[205, 110], [250, 108], [230, 135], [212, 155], [248, 153]], float)


def changed(name):
    photo = images.photo()
    return photo, CONDITIONS[name](photo.copy(), POINTS, np.random.default_rng(0))


@pytest.mark.parametrize("name", [name for name in CONDITIONS if "small" not in name])
def test_a_condition_keeps_the_photos_size(name):
    photo, made = changed(name)
    assert (made.shape, made.dtype) == (photo.shape, np.uint8)
    assert np.array_equal(made, photo) == (name == UNTOUCHED)


def test_gray_and_old_prints_have_one_hue():
    _, gray = changed("gray")
    assert (gray.min(axis=2) == gray.max(axis=2)).all()
    _, print_ = changed("an old print, imitated")
    assert (print_[..., 0] >= print_[..., 1]).all()
    assert (print_[..., 1] >= print_[..., 2]).all()


@pytest.mark.parametrize("eyes", [24, 8])
def test_small_faces_have_that_many_pixels_between_the_eyes(eyes):
    photo, made = changed(f"small: {eyes} pixels between the eyes")
    scale = made.shape[1] / photo.shape[1]
    assert np.hypot(*(POINTS[1] - POINTS[0])) * scale == pytest.approx(eyes, abs=0.3)


def test_a_mask_covers_the_mouth_and_glasses_the_eyes():
    photo, masked = changed("a mask over mouth and nose")
    _, shaded = changed("sunglasses")

    def change(made, point):
        x, y = point.round().astype(int)
        near = np.s_[y - 3 : y + 4, x - 3 : x + 4]
        return cv2.absdiff(made[near], photo[near]).mean()

    assert min(change(masked, POINTS[3]), change(masked, POINTS[4])) > 20
    assert max(change(masked, POINTS[0]), change(masked, POINTS[1])) == 0
    assert min(change(shaded, POINTS[0]), change(shaded, POINTS[1])) > 20


def face(*vector, passes=True):
    return Face(np.array(vector, np.float32), passes, POINTS)


def test_matches_are_counted_as_compare_decides():
    plain = {"a/1": face(1, 0), "a/2": face(1, 0), "b/1": face(0, 1), "b/2": face(0, 1)}
    found = {"a/2": face(0.8, 0.6), "b/2": face(0.6, 0.8, passes=False)}
    pairs = [("a/1", "a/2"), ("b/1", "b/2"), ("b/1", "b/3")]

    row = conditions._row("x", 3, found, plain, pairs, [0.7, 0.9])

    assert (row.photos, row.found, row.passing, row.genuine) == (3, 2, 1, 3)
    assert row.matched == (1, 0)  # b/2 is not past the gate, b/3 shows no face
    assert (row.strangers, row.alike) == (2, (0, 0))  # a/2 beside b's two photos: 0.6
    assert (row.alike_strangers, row.both_alike) == (0, (0, 0))


def test_strangers_who_are_both_so_are_counted_once():
    found = {"a/1": face(1, 0), "b/1": face(0.8, 0.6), "b/2": face(0, 1)}
    row = conditions._row("x", 3, found, found, [], [0.7])
    assert (row.strangers, row.alike) == (4, (2,))
    assert (row.alike_strangers, row.both_alike) == (2, (1,))


def test_turned_heads_are_compared_with_frontal_ones():
    turned = POINTS.copy()
    turned[2, 0] += 28  # the nose is far to one side
    plain = {
        "a/1": face(1, 0),
        "a/2": Face(np.array([1, 0], np.float32), True, turned),
        "b/1": face(0, 1),
    }
    rows = conditions._turned(plain, [0.7])
    assert [row.genuine for row in rows if row.photos] == [1]
    assert sum(row.photos for row in rows) == 1
