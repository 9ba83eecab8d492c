"""JPEGs decoded at a fraction of their size: pixels, positions, and the choice of factor."""

import re

import cv2
import images
import numpy as np
import pytest
from PIL import Image

from aurum.imaging.align import TEMPLATE, align, crop_matrices, pixels_per_crop_pixel
from aurum.imaging.decoding.decode import FACTORS, EncodedPhoto, accept
from aurum.imaging.decoding.limits import Limits
from aurum.imaging.decoding.refusal import InvalidImageError
from aurum.imaging.faces import Candidates
from aurum.pipeline import find
from aurum.pipeline.look import DetectorOutput, Models
from aurum.pipeline.request import parse_options
from aurum.settings import Settings

BYTES, PIXELS = 10_000_000, 50_000_000
LIMITS = Limits(BYTES, BYTES, PIXELS, PIXELS, memory=500_000_000, seconds=60, heic=True)
GOOD, BAD = images.good(), images.bad(BYTES, PIXELS)
FEWER = [factor for factor in FACTORS if factor > 1]
IN_FULL = ("tiny",)


def opened(data):
    return accept(data, LIMITS)


def with_orientation(upright, orientation):
    """Store `upright` RGB as a JPEG of a camera held in this orientation."""
    stored, way = Image.fromarray(upright), images.STORED[orientation]
    stored = stored if way is None else stored.transpose(way)
    return images.save(stored, "JPEG", quality=98, exif=images.exif(orientation))


@pytest.mark.parametrize("factor", FEWER)
@pytest.mark.parametrize("name", [name for name in GOOD if opened(GOOD[name][0]).kind == "JPEG"])
def test_a_reduced_jpeg_shows_the_same_picture(name, factor):
    data, (width, height) = GOOD[name]
    encoded = opened(data)

    photo, full = encoded.decode(factor), encoded.decode()

    assert encoded.size == full.pixels.shape[1::-1] == (width, height)
    assert full.factor == 1
    assert full.start == (0, 0)
    if name.startswith(IN_FULL):
        assert photo.factor == 1
        assert (photo.pixels == full.pixels).all()
        return
    assert photo.factor == factor
    assert photo.pixels.shape == (-(-height // factor), -(-width // factor), 3)
    assert photo.pixels.dtype == np.uint8
    if width < 2 * factor:  # hardly a pixel comes entirely from the photo
        return
    size = photo.pixels.shape[1::-1]
    shrunk = cv2.resize(full.pixels, size, interpolation=cv2.INTER_AREA)
    assert np.abs(photo.pixels.astype(int) - shrunk).mean() < 6


@pytest.mark.parametrize("name", [name for name in GOOD if opened(GOOD[name][0]).kind != "JPEG"])
def test_png_and_webp_are_decoded_in_full(name):
    encoded = opened(GOOD[name][0])

    photo = encoded.decode(4)

    assert photo.factor == 1
    assert (photo.pixels == encoded.decode().pixels).all()


@pytest.mark.parametrize("factor", FEWER)
@pytest.mark.parametrize("name", [name for name in BAD if "jpeg" in name or "scans" in name])
def test_damage_is_refused_at_any_factor(name, factor):
    data, pattern = BAD[name]

    with pytest.raises(InvalidImageError) as caught:
        opened(data).decode(factor)

    assert re.search(pattern, str(caught.value))


@pytest.mark.parametrize("factor", FEWER)
@pytest.mark.parametrize("name", ["jpeg", "jpeg progressive", "jpeg gray", "jpeg orientation 6"])
def test_a_truncated_photo_is_refused_at_any_factor(name, factor):
    data = GOOD[name][0]

    for length in np.linspace(1, len(data) - 40, 12).astype(int):
        with pytest.raises(InvalidImageError):
            opened(data[:length]).decode(factor)


@pytest.mark.parametrize("factor", FEWER)
@pytest.mark.parametrize("size", [(336, 248), (337, 251), (342, 255), (331, 252)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_points_map_from_the_full_to_the_reduced_photo(orientation, size, factor):
    """Also if the sides are no multiple of the factor and a partial block comes first."""
    width, height = size
    rows, columns = np.indices((height, width))
    for x, y in ((61, 47), (width - 60, 52), (width - 63, height - 55)):
        spot = 220 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 12**2))
        upright = np.repeat(spot.astype(np.uint8)[..., None], 3, axis=2)
        encoded = opened(with_orientation(upright, orientation))

        photo = encoded.decode(factor)

        assert encoded.size == size
        weight = np.maximum(photo.pixels[..., 0].astype(float) - 20, 0)
        down, right = np.indices(weight.shape)
        seen = np.array([(right * weight).sum(), (down * weight).sum()]) / weight.sum()
        expected = photo.from_full(np.array([x, y], np.float32))
        assert np.abs(seen - expected).max() < 0.1


def test_photo_pixels_per_crop_pixel():
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    landmarks = np.stack([TEMPLATE, 2.5 * TEMPLATE + 30, 7 * TEMPLATE @ turn, 0 * TEMPLATE + 50])
    boxes = np.array([[0, 0, 112, 112]] * 3 + [[20, 30, 336, 224]], np.float32)

    spans = pixels_per_crop_pixel(crop_matrices(boxes, landmarks.astype(np.float32)))

    assert spans == pytest.approx([1, 2.5, 7, 3], rel=1e-5)
    assert pixels_per_crop_pixel(crop_matrices(boxes[:0], TEMPLATE[None][:0])).shape == (0,)


class Detector:
    """Finds faces at given places of the full photo, after `blind` looks; records its inputs."""

    def __init__(self, size, *landmarks, blind=0):
        self.size, self.landmarks, self.blind, self.seen = size, landmarks, blind, []

    def __call__(self, image):
        self.seen.append(image.copy())
        if len(self.seen) <= self.blind:
            none = Candidates(np.zeros((0, 4)), np.zeros((0, 5, 2)), np.zeros(0))
            return DetectorOutput(none, b"detector", 0.0)
        points = np.stack(self.landmarks).astype(np.float32) * min(1, LOOK / max(self.size))
        low, high = points.min(axis=1), points.max(axis=1)
        boxes = np.concatenate([low, high - low], axis=1).astype(np.float32)
        scores = np.full(len(points), 0.9, np.float32)
        return DetectorOutput(Candidates(boxes, points, scores), b"detector", 0.0)


LOOK = 320


def look(data, detect, monkeypatch, *, detection_size=LOOK):
    """Find faces; also return the factors of each decoding, a list that grows."""
    factors = []

    def decode(encoded, factor=1):
        factors.append(factor)
        return real(encoded, factor)

    real = EncodedPhoto.decode
    monkeypatch.setattr(EncodedPhoto, "decode", decode)
    parameters = {"detection_size": detection_size, "orientation": "exif", "refine": False}
    options = parse_options(parameters, Settings())
    return find.find_faces(data, options, Settings(), Models(detect, None, None)), factors


@pytest.mark.parametrize(
    ("size", "detection_size", "factor"),
    [
        ((640, 480), 640, 1),
        ((1280, 960), 640, 1),
        ((1281, 960), 640, 2),
        ((1030, 2560), 640, 2),
        ((2561, 1030), 640, 4),
        ((5120, 2050), 640, 4),
        ((5121, 2050), 640, 8),
        ((4000, 1600), 1280, 2),
        ((520, 512), 64, 8),
        ((20_000, 30), 640, 1),  # tiles that are not shrunk that much
        ((12_000, 800), 640, 2),
    ],
)
def test_the_detector_always_gets_its_full_resolution(size, detection_size, factor, monkeypatch):
    detect = Detector(size, blind=99)

    found, factors = look(images.jpeg(*size), detect, monkeypatch, detection_size=detection_size)

    assert factors == [found.photo.factor] == [factor]
    assert found.image_size.tolist() == list(size)
    inner = min(detection_size, max(size))
    assert max(detect.seen[0].shape) == -(-inner // 32) * 32
    assert found.crops().shape == (0, 112, 112, 3)
    assert len(factors) == 1


def face(span, x, y):
    return span * (TEMPLATE - 56) + (x, y)


@pytest.mark.parametrize(
    ("spans", "again"),
    [([9], []), ([4.01], []), ([3.9], [2]), ([9, 2.1, 5], [2]), ([9, 1.9], [1]), ([0.4], [1])],
)
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_crops_lose_no_resolution_to_the_reduced_decoding(spans, again, orientation, monkeypatch):
    """`again`: the factors at which the photo is decoded again, once for all faces."""
    upright = np.asarray(cv2.resize(images.photo(), (1502, 1201), interpolation=cv2.INTER_CUBIC))
    data = with_orientation(upright, orientation)
    # A photo full of detail, with every face in another place.
    landmarks = [face(span, 640 + 90 * at, 560) for at, span in enumerate(spans)]
    found, factors = look(data, Detector((1502, 1201), *landmarks), monkeypatch)
    assert factors == [4]

    crops = found.crops()

    assert factors == [4, *again]
    assert found.image_size.tolist() == [1502, 1201]
    by_size = sorted(landmarks, key=lambda points: -np.ptp(points, axis=0).prod())
    # Widths and heights are rounded to the detector's whole pixels.
    assert np.abs(found.faces.landmarks - by_size).max() < 2
    full = align(found.encoded.decode().pixels, found.faces.boxes, found.faces.landmarks)
    differences = np.abs(crops.astype(int) - full).mean(axis=(1, 2, 3))
    assert differences.max() < 2
    if again == [1]:
        assert (crops == full).all()


def test_degenerate_landmarks_use_their_box(monkeypatch):
    size = (1300, 960)
    upright = np.asarray(cv2.resize(images.photo(), size, interpolation=cv2.INTER_CUBIC))
    found, factors = look(
        with_orientation(upright, 1), Detector(size, face(9, 640, 480)), monkeypatch
    )
    landmarks = np.full((1, 5, 2), 600, np.float32)
    boxes = np.array([[200, 100, 672, 560]], np.float32)
    found = found._replace(faces=found.faces._replace(boxes=boxes, landmarks=landmarks))

    crop = found.crops()

    assert factors == [4]
    full = align(found.encoded.decode().pixels, boxes, landmarks)
    assert np.abs(crop.astype(int) - full).mean() < 2
