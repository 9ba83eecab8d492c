"""How many times the detector looks at a photo, and how the looks are combined."""

import numpy as np
import pytest
from fake_detector import ONE, SETTINGS, Detector, faces, file, find, options

from aurum.imaging.align import SECOND_TEMPLATE
from aurum.imaging.faces import Candidates
from aurum.pipeline.find import find_faces
from aurum.pipeline.look import MAX_SECOND_LOOKS, DetectorOutput, Models

# --- several scales ---


def test_if_nothing_is_found_a_coarser_look_averages_the_noise():
    detect = Detector(faces(), faces([10, 20, 40, 60]))

    found = find(file(500, 400), options(), detect)

    assert detect.shapes == [(416, 512), (128, 128)]
    assert found.faces.boxes[0, 0] == pytest.approx(10 * 500 / 128, rel=0.01)


@pytest.mark.parametrize(
    ("size", "detection_size", "shapes"),
    [
        ((100, 80), 640, [(256, 320)]),  # enlarged
        ((512, 300), 640, [(320, 512)]),  # covered by one look
        ((2000, 1000), 512, [(256, 512)]),
        ((640, 480), 640, [(480, 640), (256, 320)]),
        ((2000, 1500), 1280, [(960, 1280), (256, 320)]),
        ((500, 500), 32, [(32, 32)]),
        ((1, 1), 640, [(320, 320)]),
        # More than the detector's memory allows: in tiles, and once as a whole in between.
        ((2560, 1400), 2560, [(832, 1024)] * 6 + [(704, 1280), (192, 320)]),
    ],
)
def test_the_scales_for_each_detection_size(size, detection_size, shapes):
    detect = Detector(ONE, *[faces()] * (len(shapes) - 1))

    find(file(*size), options(detection_size=detection_size), detect)

    assert detect.shapes == shapes


def test_the_coarse_look_finds_the_large_face_and_the_fine_one_the_small_face():
    # A photo of 1280x960 at 640: the coarse look has a quarter of the pixels on each side.
    torn, small = [150, 150, 200, 200], [600, 20, 30, 30]
    large = [10, 0, 300, 240]
    detect = Detector(faces(torn, small, scores=[0.7, 0.9]), faces(large, scores=[0.92]))

    found = find(file(1280, 960), options(detection_size=640), detect)

    assert found.faces.boxes.tolist() == [[40, 0, 1200, 960], [1200, 40, 60, 60]]


# --- tiles ---


def test_a_long_photo_is_split_into_tiles():
    detect = Detector(*[faces([100, 50, 40, 40])] * 13, faces())

    found = find(file(12000, 800), options(detection_size=640), detect)

    assert detect.shapes == [(352, 640)] * 12 + [(64, 640), (32, 320)]
    assert len(found.faces.scores) == 13
    assert found.complete


@pytest.mark.parametrize(("size", "looks"), [((500, 100), 1), ((2000, 800), 1), ((1000, 390), 3)])
def test_no_tiles_if_they_would_add_no_detail(size, looks):
    detect = Detector(ONE, *[faces()] * (looks - 1))

    find(file(*size), options(detection_size=256 if looks > 1 else 512), detect)

    assert len(detect.seen) == looks


def test_a_photo_too_long_for_the_tiles_is_reported_as_incomplete():
    detect = Detector(ONE, *[faces()] * 16)

    found = find(file(20000, 64), options(detection_size=256), detect)

    assert len(detect.seen) == 17
    assert not found.complete


def test_tiles_can_be_requested():
    detect = Detector(ONE, *[faces()] * 4)

    find(file(1600, 1200), options(tiles=4), detect)

    assert detect.shapes == [(416, 512)] * 4 + [(384, 512)]


def test_a_face_cut_by_a_tile_is_taken_from_the_tile_that_has_it_whole():
    # Tiles of 1000 pixels at 512: the right border of the first one cuts a face in two.
    cut, whole = [480, 100, 32, 60], [300, 100, 60, 60]
    detect = Detector(*[faces(cut), faces(whole), faces(), faces(), faces()])

    found = find(file(1600, 1600), options(tiles=4), detect)

    assert len(found.faces.scores) == 1


# --- a second look at each face ---


def test_a_second_look_moves_the_landmarks_and_scores_their_fit():
    wanted = options(refine=True)
    face = [100, 100, 80, 80]
    first = find(file(400, 400), options(), Detector(faces(face, scores=[0.9])))

    found, unseen = (
        find(file(400, 400), wanted, Detector(faces(face, scores=[0.9]), second=[score]))
        for score in (0.8, 0)
    )

    assert np.abs(found.faces.landmarks - first.faces.landmarks).max() > 0.3
    assert np.array_equal(unseen.faces.landmarks, first.faces.landmarks)
    assert found.faces.fits.tolist() == pytest.approx([0.85])
    assert unseen.faces.fits.tolist() == pytest.approx([0.45])
    assert found.faces.scores.tolist() == pytest.approx([0.9])


def test_the_number_of_second_looks_is_limited():
    crowd = [[12 * (n % 40), 12 * (n // 40), 10, 10] for n in range(300)]
    detect = Detector(faces(*crowd, scores=[0.9] * 300), second=[0.9] * MAX_SECOND_LOOKS)

    found = find(file(500, 500), options(refine=True), detect)

    assert len(found.faces.scores) == 300
    assert detect.crops == MAX_SECOND_LOOKS


# --- rotated photos ---

AUTO = {"orientation": "auto", "refine": True}


def test_an_upright_photo_is_not_rotated():
    detect = Detector(faces([100, 100, 80, 80], scores=[0.95]), upright=0.9, second=[0.9])

    found = find(file(500, 500), options(**AUTO), detect)

    assert len(detect.seen) == 1
    assert found.faces.rotations.tolist() == [0]


def shrunk(look):
    """What a coarse look of 224 pixels sees of a look at 500."""
    return Candidates(look.boxes * 0.448, look.landmarks * 0.448, look.scores)


def test_a_face_keeps_the_rotation_that_fits_best():
    face = [100, 100, 128, 128]
    # In a photo of 500x400, a box in the photo rotated clockwise by 90 degrees: x is 400 - y - h.
    turned = [400 - 100 - 128, 100, 128, 128]
    better = faces(turned, scores=[0.95])
    looks = [faces(face, scores=[0.7]), shrunk(better), faces(), faces(), better]
    detect = Detector(*looks, upright=0.9, second=[0.3, 0.95, 0.95])

    found = find(file(500, 400), options(**AUTO), detect)

    assert detect.shapes == [(416, 512), (224, 192), (192, 224), (224, 192), (512, 416)]
    assert found.faces.rotations.tolist() == [90]
    assert found.faces.boxes[0].tolist() == pytest.approx(face, abs=2)
    assert found.faces.scores.tolist() == pytest.approx([0.95])


def test_a_photo_without_faces_costs_three_more_coarse_looks():
    detect = Detector(*[faces()] * 6)

    found = find(file(1280, 960), options(detection_size=640, **AUTO), detect)

    assert detect.shapes == [
        (480, 640), (256, 320), (160, 192), (320, 256), (256, 320), (320, 256),
    ]  # fmt: skip
    assert len(found.faces.scores) == 0


@pytest.mark.parametrize("size", [320, 512, 640, 960, 1280])
@pytest.mark.parametrize("score", [0.61, 0.7, 0.8])
def test_no_photo_costs_more_than_four_full_looks(size, score):
    def anything(image):
        pixels.append(image.shape[0] * image.shape[1])
        # Each rotated look sees something better than those before it.
        best = min(score + 0.02 * len(pixels), 1)
        return DetectorOutput(faces([10, 10, 30, 30], scores=[best]), b"detector", 1.0)

    def second(crops):
        return np.stack([SECOND_TEMPLATE] * len(crops)), np.full(len(crops), 0.99, np.float32)

    pixels = []
    wanted = options(detection_size=size, **AUTO)
    find_faces(file(size, size), wanted, SETTINGS, Models(anything, second, None))

    assert sum(pixels) <= 4 * size * size


def test_with_exif_orientation_nothing_is_rotated():
    detect = Detector(ONE, upright=0.99)

    find(file(500, 500), options(orientation="exif"), detect)

    assert len(detect.seen) == 1
