"""Crops of faces with their surroundings."""

import numpy as np
import pytest

from aurum.imaging.surroundings import cut, pixels_per_pixel

UPRIGHT = np.zeros(1, np.int32)


def gradient(height, width):
    """Red grows to the right, green downwards; blue is constant."""
    photo = np.zeros((height, width, 3), np.uint8)
    photo[..., 0] = np.linspace(0, 255, width)
    photo[..., 1] = np.linspace(0, 255, height)[:, None]
    return photo


def one(photo, box, scale, rotation=0):
    return cut(photo, np.array([box], np.float32), np.array([rotation], np.int32), scale)[0]


def seen(photo, box, scale):
    """The part of a gradient that a crop shows: left, top, right, bottom in pixels."""
    crop = one(photo, box, scale).astype(float)
    height, width = photo.shape[:2]
    x, y = (
        (crop[40, 0, 0], crop[40, -1, 0]),
        (crop[0, 40, 1], crop[-1, 40, 1]),
    )
    return (
        x[0] / 255 * (width - 1),
        y[0] / 255 * (height - 1),
        x[1] / 255 * (width - 1),
        y[1] / 255 * (height - 1),
    )


@pytest.mark.parametrize(
    ("box", "scale", "want"),
    [
        ((180, 190, 40, 20), 2.0, (160, 180, 240, 220)),  # about the centre, as wide as the box
        ((0, 190, 40, 20), 3.0, (0, 170, 120, 230)),  # moved inside at the left
        ((370, 390, 40, 20), 3.0, (279, 339, 399, 399)),  # and at the right and the bottom
        ((100, 100, 200, 200), 4.0, (0, 0, 399, 399)),  # as large as the photo
        ((150, 50, 100, 300), 4.0, (133, 0, 267, 399)),  # both sides shrink alike
        ((-900, -900, 100, 100), 2.0, (0, 0, 200, 200)),  # a box outside the photo
    ],
)
def test_the_crop_spans_the_scaled_box_inside_the_photo(box, scale, want):
    photo = gradient(400, 400)
    pixel = 400 / 255 + 200 / 80  # a gray level, and half a pixel of the crop
    np.testing.assert_allclose(seen(photo, box, scale), want, atol=pixel)


@pytest.mark.parametrize(("rotation", "turns"), [(0, 0), (90, -1), (180, -2), (270, -3)])
def test_a_rotated_face_is_turned_upright(rotation, turns):
    photo = gradient(100, 100)
    upright = one(photo, (40, 40, 20, 20), 2)
    np.testing.assert_array_equal(
        one(photo, (40, 40, 20, 20), 2, rotation), np.rot90(upright, turns)
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (50, 40_000), (40_000, 50)])
@pytest.mark.parametrize("box", [(0, 0, 0, 0), (10, 10, 5, 0), (0, 0, 1e6, 1e6), (-5, -5, 3, 3)])
def test_any_box_and_any_photo_give_a_crop(shape, box):
    assert (
        one(np.full((*shape, 3), 7, np.uint8), box, 4.0).tolist()
        == np.full((80, 80, 3), 7).tolist()
    )


def test_pixels_are_sampled_not_averaged():
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = one(stripes, (100, 100, 100, 100), 4.0)
    assert crop.std() > 50, "averaging would make it gray"


def test_no_faces_give_no_crops():
    none = np.zeros((0, 4), np.float32)
    assert cut(gradient(9, 9), none, UPRIGHT[:0], 4.0).shape == (0, 80, 80, 3)
    assert pixels_per_pixel(none, 2.7).shape == (0,)
    assert pixels_per_pixel(np.array([[0, 0, 80, 160]], np.float32), 2.7) == pytest.approx(5.4)
