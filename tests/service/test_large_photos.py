"""Photos that are decoded at a fraction of their size, compared with full decoding."""

import cv2
import numpy as np
import pytest
from aurum_client import FaceClient

from aurum.evaluation.boxes import match
from aurum.imaging.align import crop_matrices, pixels_per_crop_pixel
from aurum.quality.parts import PARTS
from benchmarks.baselines.local import LocalService
from benchmarks.gallery import scenes
from benchmarks.performance import reduced
from benchmarks.robustness.hostile.image_bytes import oriented

SIZE = (4000, 3000)
# The detector's input has one pixel for this many of the photo's.
SHRUNK = max(SIZE) / 640


@pytest.fixture
def client(real):
    with FaceClient(real.urls[0], timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def portraits():
    return [scenes.decode(data) for data in scenes.portraits().values()]


def jpeg(upright, orientation=6):
    """12 megapixels, stored on its side."""
    height, width = upright.shape[:2]
    scale = np.sqrt(SIZE[0] * SIZE[1] / (height * width))
    stored = np.ascontiguousarray(np.rot90(upright)[..., ::-1])
    return oriented(reduced.enlarged(stored, round(max(height, width) * scale)), orientation)


def wall(photo, columns):
    """The astronaut's head and its mirror image in turn, in a photo of 3:4."""
    head = cv2.resize(photo[30:200, 135:305], (128, 128), interpolation=cv2.INTER_AREA)
    row = [head[:, :: (-1) ** column] for column in range(columns * 3 // 4)]
    return np.vstack([np.hstack(row)] * columns)


def both(client, real, data):
    """Return the service's answer, and that of the same code with full decoding."""
    service = LocalService(real.prepared.graphs, real.settings)
    full, _ = reduced.analyze(service, data, reduced.FULL)
    assert reduced.analyze(service, data, 8)[1] == 4
    return client.analyze(data), full


@pytest.mark.parametrize("which", [0, 1])
def test_a_selfie_agrees_with_full_decoding(client, real, portraits, which):
    data = jpeg(portraits[which])

    answer, full = both(client, real, data)

    check(answer, full)
    assert len(answer) == 1
    assert np.prod(answer.image_size) == pytest.approx(12e6, rel=0.01)


@pytest.mark.parametrize(("columns", "enough"), [(4, 4), (8, 2), (16, 1)])
def test_a_group_agrees_with_full_decoding(client, real, portraits, columns, enough):
    """Its smallest face's crop has enough pixels in the photo at 1 / `enough`."""
    data = jpeg(wall(portraits[0], columns))

    answer, full = both(client, real, data)

    assert len(answer) == columns * (columns * 3 // 4)
    assert (
        enough
        <= pixels_per_crop_pixel(crop_matrices(answer.boxes, answer.landmarks)).min()
        < 2 * enough
    )
    assert len(client.detect(data)) == len(answer)
    check(answer, full)


def test_a_photo_of_108_megapixels_agrees_with_its_portrait(client, real, portraits):
    """As large as phones make them; its face is small, so that it is decoded once more."""
    size = (12_000, 9000)
    whole = np.full((size[1], size[0], 3), 128, np.uint8)
    portrait = cv2.resize(portraits[0], (1800, 1800), interpolation=cv2.INTER_CUBIC)
    whole[4000:5800, 7000:8800] = portrait
    done, data = cv2.imencode(".jpg", whole[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert done

    answer = client.analyze(data.tobytes())

    expected = client.analyze(cv2.imencode(".png", portrait[..., ::-1])[1].tobytes())
    assert answer.image_size == size
    assert len(answer) == len(expected) == 1
    moved = answer.boxes[0, :2] - expected.boxes[0, :2] - (7000, 4000)
    assert np.abs(moved).max() < 2 * size[0] / 640
    assert (answer.embeddings @ expected.embeddings.T).item() > 0.9


def check(answer, full):
    """Compare, except for a few of many tiny faces whose landmarks move with any resampling."""
    pairs = match(full.faces.boxes, answer.boxes, np.zeros((0, 4)))
    assert len(pairs.missed) == len(pairs.extra) == 0
    theirs, ours = pairs.pairs.T
    moved = np.abs(answer.landmarks[ours] - full.faces.landmarks[theirs]).max(axis=(1, 2))
    likeness = (answer.embeddings[ours] * full.embeddings[theirs]).sum(axis=1)
    worse = np.abs(answer.quality[ours] - full.assessment.quality[theirs])
    assert np.abs(answer.boxes[ours] - full.faces.boxes[theirs]).max() < 2 * SHRUNK
    # A pixel or two of the detector's input, or of the crop of the second look.
    distance = full.assessment.parts[theirs, PARTS.index("resolution")]
    assert np.quantile(moved / np.maximum(2 * SHRUNK, 0.04 * distance), 0.95) < 1
    assert np.quantile(likeness, 0.05) > 0.95
    assert np.median(likeness) > 0.98
    assert np.quantile(worse, 0.95) < 0.1
    eyes = PARTS.index("resolution")  # in pixels of the full photo
    ratio = answer.quality_parts[ours, eyes] / full.assessment.parts[theirs, eyes]
    assert np.abs(ratio - 1).max() < 0.25
