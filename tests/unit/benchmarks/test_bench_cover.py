"""The measures of a covered lower face, on a face whose crop is known."""

import cv2
import images
import numpy as np
import pytest

from aurum.evaluation import disguise
from aurum.imaging.align import align
from benchmarks.quality.cover import COVERS, MEASURES, measures

POINTS = np.array([[205, 110], [250, 108], [230, 135], [212, 155], [248, 153]], float)


def crop(change):
    photo = np.ascontiguousarray(change(images.photo().copy(), POINTS))
    box = np.array([[178, 63, 90, 113]], np.float32)
    return align(photo, box, POINTS[None].astype(np.float32))[0]


@pytest.mark.parametrize(
    "cover", [name for name in COVERS if "mask" in name and "gray" not in name]
)
def test_a_mask_has_another_colour_than_the_face(cover):
    plain, covered = (dict(zip(MEASURES, measures(crop(COVERS[name])), strict=True))
                      for name in ("untouched", cover))  # fmt: skip
    key = "colour of mouth and bridge of the nose"
    assert (covered[key] > plain[key]) == (cover != "a mask of a skin colour"), (plain, covered)


def test_a_gray_photo_has_no_colours_to_compare():
    gray = measures(crop(COVERS["a light blue mask, gray photo"]))
    assert gray[1] == gray[2] == 0


def test_the_folds_of_the_usual_mask_keep_their_colour():
    """The gallery's pictures are made with it."""
    drawn = disguise.mask(np.zeros((300, 300, 3), np.uint8), POINTS)
    colours = {tuple(pixel) for pixel in drawn.reshape(-1, 3).tolist()}
    assert {disguise.CLOTH, (140, 176, 196)} <= colours
    assert cv2.countNonZero(drawn[..., 0]) > 500
