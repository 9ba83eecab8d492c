import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurum.imaging.letterbox import CELL, SMALLEST, letterbox

sides = st.integers(1, 700)
targets = st.integers(1, 20).map(lambda cells: cells * CELL)


def white(height, width):
    return np.full((height, width, 3), 255, np.uint8)


@settings(max_examples=150)
@given(height=sides, width=sides, long_side=targets)
def test_any_photo_fits_without_being_stretched(height, width, long_side):
    image, scale = letterbox(white(height, width), long_side)

    assert image.dtype == np.uint8
    assert image.shape[0] % CELL == image.shape[1] % CELL == 0
    assert max(image.shape) <= max(long_side, CELL)
    assert scale.dtype == np.float32
    if max(height, width) >= SMALLEST:
        assert (scale <= 1).all()
    inner_width, inner_height = np.round(scale * (width, height)).astype(int)
    assert (image[:inner_height, :inner_width] == 255).all()
    assert image[inner_height:].sum() == image[:, inner_width:].sum() == 0
    # Less than a whole cell of padding: the input is no larger than needed.
    assert image.shape[0] - inner_height < CELL
    assert image.shape[1] - inner_width < CELL
    # The photo's far corner maps back to where it was, to half a pixel of the input.
    ideal = min(long_side, max(height, width, SMALLEST)) / max(height, width)
    corner = np.array([inner_width, inner_height]) / ideal
    off = np.abs(corner - (width, height)) * ideal
    assert (off[np.array([width, height]) * ideal >= 1] <= 0.5 + 1e-6).all()


def test_a_photo_that_fits_is_kept_as_it_is():
    photo = np.random.default_rng(0).integers(0, 256, (250, 330, 3), np.uint8)

    image, scale = letterbox(photo, 640)

    assert image.shape == (256, 352, 3)
    assert (image[:250, :330] == photo).all()
    assert scale.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("long_side", "shape"), [(640, (256, 320, 3)), (320, (256, 320, 3)), (160, (128, 160, 3))]
)
def test_a_smaller_photo_is_enlarged_to_320_where_the_size_allows(long_side, shape):
    image, scale = letterbox(white(80, 100), long_side)

    assert image.shape == shape
    assert scale.tolist() == pytest.approx([shape[1] / 100] * 2)


@pytest.mark.parametrize(
    ("height", "width", "shape"),
    [(1, 1, (320, 320)), (1, 5000, (32, 320)), (5000, 1, (320, 32)), (8, 3000, (32, 320)),
     (32, 32, (320, 320)), (320, 640, (160, 320)), (333, 641, (192, 320))],
)  # fmt: skip
def test_odd_shapes(height, width, shape):
    image, scale = letterbox(white(height, width), 320)

    assert image.shape == (*shape, 3)
    assert image[0, 0].tolist() == [255, 255, 255]
    assert (scale > 0).all()


@pytest.mark.parametrize("long_side", [320, 416, 640])
def test_a_mark_is_located_within_half_a_pixel(long_side):
    for x, y in [(100, 60), (650, 300), (900, 420)]:
        photo = np.zeros((500, 1000, 3), np.uint8)
        cv2.circle(photo, (x, y), 15, (255, 255, 255), -1)

        image, scale = letterbox(photo, long_side)

        weight = image[..., 0].astype(float)
        rows, columns = np.indices(weight.shape)
        centre = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
        assert np.abs(centre - scale * (x, y)).max() <= 0.5


def test_fine_detail_is_averaged_when_shrunk_a_lot():
    board = (np.indices((1024, 1024)).sum(axis=0) % 2 * 255).astype(np.uint8)

    image, _ = letterbox(np.repeat(board[..., None], 3, axis=2), 224)

    assert image.min() > 96
    assert image.max() < 160


@pytest.mark.parametrize("side", [10, 320, 330, 700])
def test_the_photo_is_not_changed(side):
    photo = np.full((side, side, 3), 7, np.uint8)

    letterbox(photo, 640)

    assert (photo == 7).all()


def test_a_photo_of_whole_cells_is_not_copied():
    photo = white(320, 640)

    assert letterbox(photo, 640).image is photo
