from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aurum.contract import MAX_TILES
from aurum.imaging.faces import Candidates
from aurum.imaging.letterbox import SMALLEST
from aurum.imaging.views import LARGEST, ImagePyramid, View, look, plan

sides = st.integers(1, 20_000)


def marks(image):
    """Detects white squares: a box around each, with landmarks that identify its corners."""
    _, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 127).astype(np.uint8))
    boxes = stats[1:, :4].astype(np.float32)
    x, y, width, height = boxes.T
    corners = [(x, y), (x + width - 1, y), (x + width - 1, y + height - 1), (x, y + height - 1)]
    points = np.stack([np.stack(corner, axis=1) for corner in (*corners, corners[0])], axis=1)
    return Candidates(boxes, points.astype(np.float32), np.full(len(boxes), 0.9, np.float32))


def marked(width, height, *squares):
    photo = np.zeros((height, width, 3), np.uint8)
    for x, y, side in squares:
        photo[y : y + side, x : x + side] = 255
    return photo


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("long_side", [400, 320])
def test_faces_of_a_rotated_look_map_back_to_the_photo(turn, long_side):
    photo = marked(400, 340, (40, 100, 60), (300, 20, 40))

    faces = look(ImagePyramid(photo), View(0, 0, 400, 340, long_side, turn), marks, 0.5, 0.3)

    near = 1 if long_side == 400 else 3
    assert np.abs(faces.boxes - [[40, 100, 60, 60], [300, 20, 40, 40]]).max() <= near
    assert faces.rotations.tolist() == [turn] * 2
    # The corner that comes first in the rotated look: the lower one when rotated clockwise ...
    x, y = {0: (40, 100), 90: (40, 159), 180: (99, 159), 270: (99, 100)}[turn]
    assert np.abs(faces.landmarks[0, 0] - (x, y)).max() <= near


def test_a_tile_sees_its_own_faces_and_none_cut_by_its_border():
    photo = marked(1000, 400, (480, 100, 60), (700, 50, 30), (970, 200, 30))

    faces = look(ImagePyramid(photo), View(500, 0, 1000, 400, 512), marks, 0.5, 0.3)

    # The first is cut by the tile's border, the last by the photo's own.
    assert faces.boxes[:, :2].tolist() == [[700, 50], [970, 200]]


@example(width=1, height=19_991, tiles=10, cells=40)  # 2900 * (1280 / 2900) > 1280
@example(width=1, height=4497, tiles=0, cells=72)
@settings(max_examples=300)
@given(width=sides, height=sides, tiles=st.integers(0, MAX_TILES), cells=st.integers(1, 80))
def test_the_views_of_any_photo_cover_it_within_the_detectors_memory(width, height, tiles, cells):
    size = 32 * cells

    planned = plan((width, height), size, tiles)

    for level in planned.levels:
        for view in level:
            assert 0 <= view.left < view.right <= width
            assert 0 <= view.top < view.bottom <= height
            assert view.input_side <= min(size, LARGEST) + 32
        for axis, side in ((0, width), (1, height)):
            spans = sorted({(view[axis], view[axis + 2]) for view in level})
            assert spans[0][0] == 0
            assert spans[-1][1] == side
            # Neighbours overlap, so that one contains whole what another cuts.
            assert all(one[1] > other[0] for one, other in pairwise(spans))
    whole = [level for level in planned.levels if len(level) == 1]
    if size <= LARGEST:
        assert len(planned.levels[0]) <= MAX_TILES
        assert whole[-1][0].input_side <= max(512, SMALLEST)


@pytest.mark.parametrize(
    ("size", "tiles", "grid"),
    [((4000, 4000), 4, (2, 2)), ((4000, 4000), 16, (4, 4)), ((4000, 3000), 6, (3, 2)),
     ((4000, 3000), 5, (2, 2)), ((9000, 3000), 3, (3, 1)), ((500, 400), 16, (1, 1)),
     ((4000, 3000), 1, (1, 1)), ((4000, 3000), 0, (1, 1))],
)  # fmt: skip
def test_tiles_are_as_square_as_their_number_allows(size, tiles, grid):
    views = plan(size, 512, tiles).levels[0]

    assert len({view.left for view in views}) == grid[0]
    assert len({view.top for view in views}) == grid[1]


def test_a_smaller_look_is_shrunk_from_the_previous_one():
    pyramid = ImagePyramid(marked(1300, 900, (400, 300, 200)))

    large, small = (pyramid.resized(View(0, 0, 1300, 900, side)) for side in (640, 320))

    assert large.shape == (443, 640, 3)
    assert np.array_equal(small, cv2.resize(large, (320, 222), interpolation=cv2.INTER_LINEAR))
    assert pyramid.resized(View(0, 0, 1300, 900, 640)).shape == large.shape
