"""Generated variants: the annotations follow the pixels."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from aurum.evaluation import detection, variants
from aurum.evaluation.annotations import Marked
from aurum.evaluation.ask import Answer
from aurum.evaluation.variants import Scene

BOX = (60, 50, 60, 80)  # x, y, width, height in a photo of 200x160
POINTS = [(75, 75), (105, 75), (90, 95), (78, 112), (102, 112)]


@pytest.fixture
def scene():
    """Gray, with a disc of 5 pixels at each landmark, each in its own colour."""
    photo = np.full((160, 200, 3), 60, np.uint8)
    for index, point in enumerate(POINTS):
        cv2.circle(photo, point, 4, COLOURS[index], cv2.FILLED)
    marked = Marked(np.array([BOX], float), np.array([POINTS], float), np.zeros(1, bool))
    return Scene(photo, marked, 0)


COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)]


def opened(variant):
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(variant.data))).convert("RGB"))


def seen_at(photo, points):
    """The colours at the points [5,2]."""
    return [tuple(photo[round(y), round(x)] > 127) for x, y in points]


WANTED = [tuple(np.array(colour) > 127) for colour in COLOURS]
WHOLE = [
    name
    for name in variants.VARIANTS
    if name.startswith(
        ("as it is", "close-up", "rotated", "EXIF", "noise, sigma 20", "JPEG quality 20")
    )
    or name.startswith("small, 48")
]


@pytest.mark.parametrize("name", WHOLE)
def test_landmarks_follow_the_pixels(scene, name):
    variant = variants.VARIANTS[name](scene)
    assert seen_at(opened(variant), variant.marked.landmarks[0]) == WANTED


@pytest.mark.parametrize("name", variants.VARIANTS)
def test_every_variant_decodes_and_is_deterministic(scene, name):
    first, second = variants.VARIANTS[name](scene), variants.VARIANTS[name](scene)
    assert first.data == second.data
    assert opened(first).ndim == 3
    assert len(first.marked.boxes) == 1
    assert not first.marked.ignore[0]


@pytest.mark.parametrize(("share", "side"), [(0.5, 640), (0.95, 640), (0.95, 112)])
def test_a_close_up_fills_the_requested_share(scene, share, side):
    variant = variants.close_up(scene, share, side)
    height, width = opened(variant).shape[:2]
    assert max(height, width) == side
    x, y, box_width, box_height = variant.marked.boxes[0]
    assert box_height / height == pytest.approx(share, abs=0.01)
    assert box_width / width == pytest.approx(share, abs=0.01)
    assert x + box_width / 2 == pytest.approx(width / 2, abs=1)
    assert y + box_height / 2 == pytest.approx(height / 2, abs=1)


def test_a_small_face_has_the_requested_height(scene):
    assert variants.small(scene, 16).marked.boxes[0, 3] == pytest.approx(16)
    assert variants.small(scene, 16).marked.boxes[0, 2] == pytest.approx(12)


@pytest.mark.parametrize(
    ("degrees", "width", "height"),
    # At 45 degrees both half sides of the ellipse's box are sqrt((30**2 + 40**2) / 2).
    [(0, 60, 80), (90, 80, 60), (180, 60, 80), (45, 5000**0.5, 5000**0.5)],
)
def test_a_rotated_box_encloses_the_rotated_ellipse(scene, degrees, width, height):
    box = variants.rotated(scene, degrees).marked.boxes[0]
    assert box[2:].tolist() == pytest.approx([width, height])


def test_rotation_is_counterclockwise(scene):
    """A quarter turn moves the top of the face to the left."""
    marked = variants.rotated(scene, 90).marked
    eyes, mouth = marked.landmarks[0, :2], marked.landmarks[0, 3:]
    assert eyes[:, 0].max() < mouth[:, 0].min()
    assert eyes[0, 1] > eyes[1, 1]  # what was on the left is at the bottom


@pytest.mark.parametrize(
    ("side", "size", "box"),
    [
        ("left", (125, 160), (-15, 50, 60, 80)),
        ("right", (105, 160), (60, 50, 60, 80)),
        ("top", (200, 90), (60, -20, 60, 80)),
        ("bottom", (200, 110), (60, 50, 60, 80)),
    ],
)
def test_a_quarter_of_the_face_is_cut_off(scene, side, size, box):
    variant = variants.at_border(scene, side, 0.25)
    assert opened(variant).shape[1::-1] == size
    assert variant.marked.boxes[0].tolist() == pytest.approx(box)


def test_faces_outside_the_frame_are_dropped_and_ignored_ones_stay_ignored(scene):
    boxes = np.array([[0, 0, 20, 20], BOX, [185, 0, 15, 15]], float)
    marked = Marked(boxes, np.zeros((3, 5, 2)), np.array([True, False, True]))
    result = variants.at_border(Scene(scene.photo, marked, 1), "right", 0.25)
    assert result.marked.ignore.tolist() == [True, False]
    assert result.marked.boxes[1].tolist() == pytest.approx(BOX)


def test_degradations_degrade_the_photo(scene):
    def spread(variant):
        return float(opened(variant).std())

    whole = spread(variants.VARIANTS["as it is"](scene))
    assert (
        opened(variants.low_light(scene, 0.01)).mean()
        < opened(variants.low_light(scene, 0.1)).mean()
        < scene.photo.mean()
    )
    assert spread(variants.blurred(scene, 0.1)) < spread(variants.blurred(scene, 0.03)) < whole
    assert spread(variants.motion(scene, 0.4)) < spread(variants.motion(scene, 0.1)) < whole
    assert spread(variants.noisy(scene, 80)) > spread(variants.noisy(scene, 20)) > whole
    assert len(variants.compressed(scene, 5).data) < len(variants.compressed(scene, 20).data)
    gray = opened(variants.grayscale(scene))
    assert (gray[..., 0] == gray[..., 2]).all()


# --- evaluation ---


def answer(boxes, landmarks=None, embeddings=None):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    if landmarks is None:
        landmarks = np.zeros((len(boxes), 5, 2), np.float32)
    if embeddings is None:
        embeddings = np.empty((len(boxes), 0), np.float32)
    scores = np.ones(len(boxes), np.float32)
    passes = np.ones(len(boxes), bool)
    size, liveness = np.array([200, 160], np.int32), np.zeros(0, np.float32)
    return Answer(size, boxes, landmarks, scores, embeddings, passes, liveness)


def test_a_tally_by_hand(scene):
    tally = detection.Tally("x")
    points = np.array([POINTS], np.float32)
    # Found, with all landmarks 3 pixels off and the eyes 30 apart; and one false positive.
    tally.add(
        "a",
        scene.marked,
        answer([BOX, (0, 0, 9, 9)], np.concatenate([points + np.array((3, 0))] * 2)),
    )
    tally.add("b", scene.marked, answer([]))
    tally.add("c", scene.marked, answer([(60, 50, 60, 60)]))
    assert (tally.photos, tally.extra, tally.found) == (3, 1, [True, False, True])
    assert tally.recall == pytest.approx(2 / 3)
    assert tally.precision == pytest.approx(2 / 3)
    assert tally.overlaps == pytest.approx([1, 0.75])
    assert tally.errors[0] == pytest.approx(0.1)
    assert tally.heights == [80, 80, 80]
    assert tally.by_photo == [("a", 1, 1, 1), ("b", 1, 0, 0), ("c", 1, 1, 0)]


def test_a_refused_photo_misses_all_its_faces(scene):
    from aurum_client import ServerError

    tally = detection.Tally("x")
    tally.add("a", scene.marked, ServerError("broken"))
    assert (tally.refused, tally.recall, tally.extra) == (1, 0, 0)


def test_faces_beyond_the_frame_do_not_count():
    marked = Marked(np.array([[150, 0, 100, 100.0]]), np.full((1, 5, 2), np.nan), np.zeros(1, bool))
    tally = detection.Tally("x")
    tally.add("a", marked, answer([(150, 0, 50, 100)]))
    assert tally.overlaps == [1]
    assert tally.errors == []


def test_the_similarity_is_the_cosine_with_the_original_face(scene):
    one, other = detection.Tally("as it is"), detection.Tally("x")
    one.add("a", scene.marked, answer([BOX], embeddings=np.array([[1, 0]], np.float32)))
    other.add("a", scene.marked, answer([BOX], embeddings=np.array([[0.6, 0.8]], np.float32)))
    other.add("b", scene.marked, answer([BOX], embeddings=np.array([[1, 0]], np.float32)))
    other.compare(one)
    assert other.likeness == pytest.approx([0.6])


def test_faces_are_chosen_evenly_among_large_confident_ones(tmp_path):
    def marked(height, ignore):
        return Marked(
            np.array([[0, 0, 50, height]], float), np.zeros((1, 5, 2)), np.array([ignore])
        )

    photos = {f"{i}.jpg": marked(80, False) for i in range(5)}
    photos |= {"small.jpg": marked(59, False), "doubtful.jpg": marked(80, True)}
    assert detection.faces(tmp_path, photos, 3) == [("0.jpg", 0), ("2.jpg", 0), ("4.jpg", 0)]
    assert len(detection.faces(tmp_path, photos, 100)) == 5
    with pytest.raises(detection.ValidationError, match="no face"):
        detection.faces(tmp_path, {"small.jpg": marked(59, False)}, 3)
