"""What the default models find; skipped if there are no weights."""

import cv2
import images
import numpy as np
import pytest
from aurum_client import FaceClient
from skimage.transform import SimilarityTransform

from aurum.imaging.align import SIDE, TEMPLATE
from aurum.imaging.decoding.decode import decode
from aurum.imaging.faces import WHOLE
from aurum.imaging.letterbox import letterbox
from aurum.models import manifest
from aurum.quality.parts import recognizability
from benchmarks.baselines.local import LocalService

# Parts of a crop, as shares of its height.
ROWS = np.arange(SIDE)[:, None, None] / SIDE


@pytest.fixture
def client(real):
    with FaceClient(real.urls[0], timeout=120) as client:
        yield client


def iou(one, other):
    """Of two boxes x, y, width, height."""
    left_top = np.maximum(one[:2], other[:2])
    right_bottom = np.minimum(one[:2] + one[2:], other[:2] + other[2:])
    shared = np.prod(np.clip(right_bottom - left_top, 0, None))
    return shared / (np.prod(one[2:]) + np.prod(other[2:]) - shared)


def test_the_astronaut_is_found_as_one_face(client, astronaut):
    analysis = client.analyze(astronaut)
    assert len(analysis) == 1
    assert iou(analysis.boxes[0], np.array([178, 63, 90, 113])) > 0.9
    assert np.linalg.norm(analysis.embeddings[0]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("name", "least"), [("crowd_1.jpg", 50), ("scientists.png", 27)])
def test_group_photos_have_the_expected_number_of_faces(client, photos, name, least):
    analysis = client.analyze(photos / name)
    assert len(analysis) >= least
    likeness = analysis.embeddings @ analysis.embeddings.T - np.eye(len(analysis))
    # Different people: every face has its own embedding.
    assert likeness.max() < 0.8


def test_a_close_up_that_fills_the_frame_is_found(client, astronaut):
    photo = cv2.imdecode(np.frombuffer(astronaut, np.uint8), cv2.IMREAD_COLOR)
    x, y, width, height = client.detect(astronaut).boxes[0].astype(int)
    face = photo[y : y + height, x - 8 : x + width + 8]
    for side in (320, 640, 1600):
        large = cv2.resize(face, (side, side * face.shape[0] // face.shape[1]))
        found = client.detect(cv2.imencode(".jpg", large)[1].tobytes())
        assert len(found) == 1
        assert found.boxes[0, 2] > 0.7 * side


@pytest.mark.parametrize("spoil", ["blurred", "dark", "small"])
def test_a_degraded_photo_has_lower_quality(client, astronaut, spoil):
    photo = cv2.imdecode(np.frombuffer(astronaut, np.uint8), cv2.IMREAD_COLOR)
    worse, part = {
        "blurred": (cv2.GaussianBlur(photo, (0, 0), 3), "sharpness"),
        "dark": ((photo * 0.06).astype(np.uint8), "exposure"),
        "small": (cv2.resize(photo, (100, 100), interpolation=cv2.INTER_AREA), "resolution"),
    }[spoil]
    (good,) = client.analyze(astronaut)
    (bad,) = client.analyze(
        cv2.imencode(".png", worse)[1].tobytes(), min_confidence=0.3, max_faces=1
    )
    assert bad.quality < good.quality
    assert getattr(bad.quality_parts, part) < 0.8 * getattr(good.quality_parts, part)


@pytest.mark.parametrize(
    ("spoil", "strengths"),
    [
        (lambda x, sigma: cv2.GaussianBlur(x, (0, 0), sigma), (8, 10, 12)),
        (lambda x, sigma: x + np.random.default_rng(0).normal(0, sigma, x.shape), (170, 200, 240)),
        (lambda x, light: x * light, (0.02, 0.015, 0.01)),
        (lambda x, share: 128 + share * (x - 128), (0.03, 0.02, 0.01)),
        (lambda x, share: np.where(share > ROWS, 128, x), (0.7, 0.85, 1)),
    ],
    ids=["blur", "noise", "dark", "fog", "cover"],
)
def test_heavy_degradation_lowers_recognizability(real, astronaut, spoil, strengths):
    """With the served graphs in process, on a crop degraded in place."""
    service = LocalService(real.prepared.graphs, real.settings)
    crop = service.find(astronaut).crops()[0].astype(float)
    worse = [crop, *(spoil(crop, strength) for strength in strengths)]
    crops = np.clip(np.rint(worse), 0, 255).astype(np.uint8)
    found = recognizability(service.models.embed(crops).embeddings)
    assert (np.diff(found) < -0.02).all(), found


def test_all_orientations_of_a_photo_give_the_same_face(client, astronaut):
    plain = client.analyze(astronaut)
    for name, (data, _) in images.good().items():
        if "orientation" in name:
            turned = client.analyze(data)
            assert len(turned) == 1, name
            assert plain.embeddings[0] @ turned.embeddings[0] > 0.95, name


def test_the_detector_agrees_with_opencv(client, photos, real):
    """FaceDetectorYN with the same weights at a fixed size, on the same letterboxed photo."""
    model = f"{real.settings.model_mirror}/face_detection_yunet_2023mar.onnx"
    try:
        detector = cv2.FaceDetectorYN.create(model, "", (320, 320), 0.6, 0.3, 5000)
    except cv2.error:
        pytest.skip("the mirror has no face_detection_yunet_2023mar.onnx")
    compared = 0
    for path in sorted(photos.iterdir()):
        photo = decode(path.read_bytes(), 10**8, 10**8)
        boxed = letterbox(photo, WHOLE)
        detector.setInputSize(boxed.image.shape[1::-1])
        _, rows = detector.detect(boxed.image[..., ::-1].copy())
        # PNG is always decoded in full.
        png = cv2.imencode(".png", photo[..., ::-1])[1].tobytes()
        found = client.detect(png, detection_size=WHOLE, orientation="exif", refine=False)
        assert len(found) == len(rows)
        for row in rows:
            box, points = row[:4] / np.tile(boxed.scale, 2), row[4:14].reshape(5, 2) / boxed.scale
            overlaps = [iou(box, other) for other in found.boxes]
            best = int(np.argmax(overlaps))
            assert overlaps[best] > 0.95
            # OpenCV's are the best candidate's, ours the mean of all.
            assert np.abs(found.landmarks[best] - points).max() < 0.15 * max(box[2:])
            compared += 1
    assert compared > 100


def test_embeddings_match_those_of_reference_crops(client, real, astronaut):
    """The service's own alignment against scikit-image's, with the same embedder."""
    photo = decode(astronaut, 10**8, 10**8)
    face = client.analyze(astronaut)[0]
    transform = SimilarityTransform.from_estimate(
        face.landmarks.astype(float), TEMPLATE.astype(float)
    )
    crop = cv2.warpAffine(photo, transform.params[:2], (112, 112))
    encoded = cv2.imencode(".png", crop[..., ::-1])[1].tobytes()
    reference = client.embed(encoded, aligned=True)
    assert face.embedding @ reference.vector > 0.9999


def test_the_profile_is_the_manifests_default(real):
    assert real.prepared.profile.name == manifest.load().auto[0]
