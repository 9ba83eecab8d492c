from base64 import b64encode

import images
import numpy as np
import pytest
from fake_detector import SETTINGS, Detector, faces, file, find, options

from aurum.imaging.align import TEMPLATE, align
from aurum.imaging.decoding.decode import EncodedPhoto, decode
from aurum.imaging.decoding.refusal import InvalidImageError
from aurum.imaging.faces import LISTED
from aurum.pipeline.find import find_face, find_faces
from aurum.pipeline.look import Models
from aurum.pipeline.request import RequestError
from aurum.settings import Settings


def test_faces_are_in_photo_pixels():
    detect = Detector(faces([10, 20, 40, 60]))

    found = find(file(1024, 768), options(), detect)

    assert detect.shapes == [(384, 512)]
    assert found.faces.boxes.tolist() == [[20, 40, 80, 120]]
    assert found.faces.landmarks[0, 0].tolist() == pytest.approx([2 * 22, 2 * 44])
    assert found.detector == b"detector1"
    assert found.image_size.tolist() == [1024, 768]
    assert found.image_size.dtype == np.int32


def test_faces_come_largest_first_up_to_the_requested_number():
    candidates = faces([0, 0, 20, 20], [100, 0, 60, 60], [200, 0, 40, 40])
    photo = file(500, 400)

    for wanted, sizes in ((0, [60, 40, 20]), (1, [60]), (2, [60, 40]), (9, [60, 40, 20])):
        found = find(photo, options(max_faces=wanted), Detector(candidates))
        assert found.faces.boxes[:, 2].tolist() == sizes
        assert len(found.faces.landmarks) == len(found.faces.scores) == len(sizes)
        assert found.crops().shape == (len(sizes), 112, 112, 3)


def test_the_options_and_settings_reach_the_face_selection():
    candidates = faces([0, 0, 20, 20], [5, 0, 20, 20], [100, 0, 20, 20], scores=[0.9, 0.8, 0.7])
    photo = file(640, 480)

    def count(nms_iou, **changed):
        settings = Settings(nms_iou=nms_iou)
        found = find(photo, options(**changed), Detector(candidates), settings)
        return len(found.faces.scores)

    assert count(0.3) == 2
    assert count(0.9) == 3
    assert count(0.9, min_confidence=0.75) == 2


def test_candidates_below_the_threshold_give_no_face():
    detect = Detector(*[faces([0, 0, 9, 9], scores=[0.4])] * 2)

    found = find(file(640, 480), options(), detect)

    assert len(found.faces.scores) == 0
    assert found.detector == b"detector2"
    assert found.crops().shape == (0, 112, 112, 3)
    assert found.complete


def test_a_full_list_makes_the_answer_incomplete():
    boxes = [[x, 0, 9, 9] for x in range(LISTED)]

    found = find(file(640, 480), options(), Detector(faces(*boxes, scores=[0.7] * LISTED)))

    assert not found.complete


def test_the_detector_sees_the_letterboxed_photo():
    detect = Detector(faces([0, 0, 9, 9]))

    found = find(file(400, 330), options(), detect)

    (image,) = detect.seen
    assert (image[:330, :400] == found.photo.pixels).all()
    assert image[330:].sum() == image[:, 400:].sum() == 0


def test_find_face_takes_the_largest_face_not_the_most_certain():
    candidates = faces([0, 0, 20, 20], [100, 0, 60, 60], scores=[0.99, 0.6])

    found = find_face(file(500, 400), options(), SETTINGS, Detector(candidates).models)

    assert found.faces.boxes.tolist() == [[100, 0, 60, 60]]
    assert np.array_equal(
        found.crops(), align(found.photo.pixels, found.faces.boxes, found.faces.landmarks)
    )


def test_find_face_without_a_face_is_an_error():
    with pytest.raises(RequestError) as caught:
        find_face(
            file(640, 480),
            options(min_confidence=0.75, detection_size=320),
            SETTINGS,
            Detector(faces(), faces()).models,
        )

    assert caught.value.code == "no_face"
    assert "min_confidence=0.75 and detection_size=320" in str(caught.value)


def test_an_aligned_crop_is_used_as_it_is_without_detection():
    pixels = np.random.default_rng(3).integers(0, 256, (112, 112, 3), np.uint8)
    data = images.opencv(".png", pixels)

    unseen = find_face(data, options(aligned=True), SETTINGS, Detector().models)
    again = options(aligned=True, refine=True)
    found = find_face(data, again, SETTINGS, Detector(second=[0.25]).models)

    assert unseen.faces.fits.tolist() == [1]
    assert found.faces.fits.tolist() == [0.25]  # the score of the second look
    assert found.detector == b""
    assert found.faces.boxes.tolist() == [[0, 0, 112, 112]]
    assert np.array_equal(found.faces.landmarks, TEMPLATE[None])
    assert found.faces.scores.tolist() == [1]
    assert found.image_size.tolist() == [112, 112]
    assert np.array_equal(found.crops()[0], pixels)


@pytest.mark.parametrize("size", [(112, 111), (111, 112), (224, 224), (1, 1)])
def test_an_aligned_crop_must_have_the_crop_size(size):
    with pytest.raises(RequestError) as caught:
        find_face(file(*size), options(aligned=True), SETTINGS, Detector().models)

    assert caught.value.code == "not_aligned"
    assert f"the image is {size[0]}x{size[1]};" in str(caught.value)


@pytest.mark.parametrize("step", [find_face, find_faces])
@pytest.mark.parametrize("aligned", [False, True])
def test_a_bad_photo_is_an_invalid_image(step, aligned):
    with pytest.raises(InvalidImageError) as caught:
        step(b"no photo", options(aligned=aligned), SETTINGS, Detector().models)

    assert caught.value.reason == "not_an_image"
    assert "not an image" in str(caught.value)


def test_the_limits_of_the_settings_apply():
    photo = file(64, 64)

    with pytest.raises(InvalidImageError, match="AURUM_MAX_IMAGE_BYTES"):
        find(photo, options(), Detector(), Settings(max_image_bytes=len(photo) - 1))
    with pytest.raises(InvalidImageError, match="AURUM_MAX_JPEG_PIXELS"):
        find(photo, options(), Detector(), Settings(max_jpeg_pixels=64 * 64 - 1))
    png, _ = images.good()["png"]
    with pytest.raises(InvalidImageError, match="AURUM_MAX_IMAGE_PIXELS"):
        find(png, options(), Detector(), Settings(max_image_pixels=320 * 256 - 1))
    with pytest.raises(InvalidImageError, match="AURUM_MAX_BASE64_BYTES"):
        find(b64encode(photo), options(), Detector(), Settings(max_base64_bytes=len(photo) - 1))
    with pytest.raises(InvalidImageError, match="AURUM_HEIC=0"):
        find(images.good()["heic"][0], options(), Detector(), Settings(heic=False))
    with pytest.raises(InvalidImageError, match="AURUM_MAX_PHOTO_MEMORY") as caught:
        find(file(2000, 2000), options(), Detector(), Settings(max_photo_memory=100_000))
    assert caught.value.reason == "too_much_memory"


def test_crops_of_a_photo_too_large_for_memory_are_as_fine_as_memory_allows(monkeypatch):
    decoded = []
    monkeypatch.setattr(EncodedPhoto, "decode", recorded(decoded, EncodedPhoto.decode))
    small = faces([100, 100, 12, 12])
    settings = Settings(max_photo_memory=1600 * 1200 * 3)

    found = find(file(3200, 2400), options(), Detector(small), settings)
    crops = [found.crops(), found.crops()]

    assert decoded == [4, 2]  # for the detector, then for the crops, which would need the full size
    assert found.faces.boxes[0, 2] == pytest.approx(12 * 3200 / 512)
    assert np.array_equal(*crops)
    assert found.image_size.tolist() == [3200, 2400]


def recorded(kept, decode):
    def decoding(self, factor=1):
        photo = decode(self, factor)
        kept.append(photo.factor)
        return photo

    return decoding


def test_a_detector_error_is_passed_on():
    def broken(image):
        raise RuntimeError("the detector is away")

    with pytest.raises(RuntimeError, match="is away"):
        find_faces(file(64, 64), options(), SETTINGS, Models(broken, None, None))


def test_the_orientation_is_applied_before_detection():
    detect = Detector(faces([0, 0, 9, 9]))
    data, size = images.good()["jpeg orientation 6"]

    found = find(data, options(), detect)

    assert found.image_size.tolist() == list(size)
    assert np.array_equal(found.photo.pixels, decode(data, 10**7, 10**7))
