"""Liveness of found faces: which pixels the networks get, and in how many calls."""

from types import SimpleNamespace

import numpy as np
import pytest

from aurum.imaging.decoding.decode import Photo
from aurum.pipeline.liveness import CHUNK, score_liveness
from aurum.pipeline.look import PhotoSource

SIDE = 1600


def found(boxes, factor=1, detector=b"a detector", rotations=None):
    """Faces in a photo whose red and green are the place, first decoded at 1 / `factor`."""
    decoded = []

    def decode(factor):
        decoded.append(factor)
        place = np.linspace(0, 255, SIDE // factor)
        pixels = np.zeros((SIDE // factor, SIDE // factor, 3), np.uint8)
        pixels[..., 0], pixels[..., 1] = place, place[:, None]
        return Photo(pixels, factor, (0, 0))

    faces = SimpleNamespace(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        rotations=np.zeros(len(boxes), np.int32) if rotations is None else rotations,
    )
    source = PhotoSource(decode, factor)
    return SimpleNamespace(faces=faces, source=source, detector=detector), decoded


class Judge:
    """Scores a face by the place of its crop's middle; notes the calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, near, wide):
        self.calls.append((near, wide))
        return (near[:, 40, 40, 0] / 255).astype(np.float32)


def test_a_crowd_takes_several_calls_and_keeps_its_order():
    boxes = [(60 * i + 100, 800, 50, 50) for i in range(CHUNK * 2 + 1)]
    judge = Judge()
    scores = score_liveness(found(boxes)[0], judge)
    assert [len(near) for near, _ in judge.calls] == [CHUNK, CHUNK, 1]
    assert scores.dtype == np.float32
    want = [(x + 25) / SIDE for x, *_ in boxes]
    np.testing.assert_allclose(scores, want, atol=0.01)


def test_the_wide_crop_shows_more():
    judge = Judge()
    score_liveness(found([(700, 700, 200, 200)])[0], judge)
    ((near, wide),) = judge.calls
    spans = [int(crop[0, 40, -1, 0]) - int(crop[0, 40, 0, 0]) for crop in (near, wide)]
    assert spans == pytest.approx([255 * 2.7 / 8, 255 * 4 / 8], abs=3)


@pytest.mark.parametrize(
    ("side", "decoded"),
    [(400, [8]), (100, [8, 2]), (20, [8, 1])],
    ids=["large faces", "smaller faces", "tiny faces"],
)
def test_the_photo_is_decoded_as_fine_as_the_smallest_face_needs(side, decoded):
    faces, done = found([(600, 600, side, side), (0, 0, 800, 800)], factor=8)
    judge = Judge()
    scores = score_liveness(faces, judge)
    assert done == decoded
    assert scores[0] == pytest.approx((600 + side / 2) / SIDE, abs=0.02)


def test_without_surroundings_nothing_is_scored():
    faces, _ = found([(0, 0, 112, 112)], detector=b"")
    judge = Judge()
    assert score_liveness(faces, judge).shape == (0,)
    assert not judge.calls


def test_no_face_needs_no_call():
    judge = Judge()
    assert score_liveness(found([])[0], judge).shape == (0,)
    assert not judge.calls


def test_a_face_on_its_side_is_turned_upright():
    judge = Judge()
    score_liveness(found([(700, 700, 200, 200)], rotations=np.array([90], np.int32))[0], judge)
    ((near, _),) = judge.calls
    assert near[0, -1, 40, 0] > near[0, 0, 40, 0] + 50, "right has become down"
