"""The served detectors: their contract, and NumPy's decoding of the upstream graphs."""

import cv2
import images
import numpy as np
import pytest
from graphs import FLOAT, STRING, UINT8, answer, built, session, textured, weights

from aurum.imaging.align import (
    SECOND_SIDE,
    SECOND_TEMPLATE,
    crop_matrices,
    cut_for_second_look,
    map_back,
)
from aurum.imaging.faces import LISTED, LISTED_SCORE, Candidates, select_faces
from aurum.imaging.letterbox import letterbox
from aurum.models.families import simulated

STRIDES = (8, 16, 32)


@pytest.fixture(scope="module")
def yunet():
    return built("yunet_s_dynamic")


@pytest.fixture(scope="module")
def scrfd():
    return built("scrfd_2.5g_bnkps")


@pytest.fixture(scope="module")
def fake():
    return session(simulated.build_detector())


# --- the contract, which is the same for all families ---


def planes(batch):
    return np.ascontiguousarray(batch.transpose(0, 3, 1, 2))


def assert_detector(served, count, height, width, listed):
    (images_in,) = served.get_inputs()
    assert (images_in.name, images_in.type, images_in.shape[1]) == ("images", UINT8, 3)
    outputs = {output.name: output for output in served.get_outputs()}
    assert list(outputs) == ["boxes", "landmarks", "scores", "upright", "model"]
    assert [outputs[name].type for name in outputs] == [FLOAT, FLOAT, FLOAT, FLOAT, STRING]

    found = answer(served, images=planes(textured(count, height, width)))

    k = found["scores"].shape[1]
    assert k == listed
    assert found["boxes"].shape == (count, k, 4)
    assert found["landmarks"].shape == (count, k, 5, 2)
    assert found["scores"].shape == (count, k)
    assert found["model"].shape == found["upright"].shape == (count, 1)
    assert (np.diff(found["scores"], axis=1) <= 0).all(), "candidates come best first"
    assert found["scores"].min() >= 0
    assert found["scores"].max() <= 1
    assert all(np.isfinite(found[name]).all() for name in ("boxes", "landmarks", "scores"))
    # Not so below: SCRFD's distances may be negative where there is no face.
    assert (found["boxes"][found["scores"] > 0.3][:, 2:] > 0).all()
    return found


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("size", [(64, 96), (480, 640)])
def test_the_simulated_detector_keeps_the_contract(fake, count, size):
    found = assert_detector(fake, count, *size, listed=64)

    assert found["model"][0, 0].startswith("simulated_detector@")


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", ["yunet", "scrfd"])
def test_a_detector_keeps_the_contract(name, count, request):
    served, _, entry = request.getfixturevalue(name)
    anchors = {"yunet": 1, "scrfd": 2}[name]
    cells = sum(64 // stride * (96 // stride) for stride in STRIDES) * anchors

    found = assert_detector(served, count, 64, 96, listed=min(cells, LISTED))
    assert_detector(served, count, 480, 640, listed=LISTED)

    assert (found["model"] == entry.id).all()
    assert (found["upright"] == np.float32(entry.upright_fit)).all()


def crowd(faces, side):
    """The astronaut's face repeated in rows, `faces` times."""
    across = int(faces**0.5)
    cell = side // across
    face = cv2.resize(images.photo()[30:220, 120:310], (cell, cell), interpolation=cv2.INTER_AREA)
    return np.tile(face, (across, across, 1))


@pytest.mark.parametrize("name", ["yunet", "scrfd"])
def test_the_list_grows_with_the_crowd_and_ends_below_any_face(name, request):
    served, _, _ = request.getfixturevalue(name)

    found = answer(served, images=planes(crowd(400, 1280)[None]))

    scores = found["scores"][0]
    assert len(scores) > 1024
    assert scores[-2] >= LISTED_SCORE > scores[-1]


def test_a_list_does_not_depend_on_the_rest_of_the_batch(yunet):
    lone = np.zeros((1280, 1280, 3), np.uint8)
    lone[:256, :320] = images.photo()
    alone = answer(yunet[0], images=planes(lone[None]))
    beside = answer(yunet[0], images=planes(np.stack([lone, crowd(400, 1280)])))

    lists = [
        Candidates(
            *(found[key][0] for key in ("boxes", "landmarks", "scores"))
        ).without_batch_padding()
        for found in (alone, beside)
    ]

    assert len(beside["scores"][0]) > len(lists[1].scores) == len(lists[0].scores) == LISTED
    assert all(np.allclose(*pair, atol=1e-3) for pair in zip(*lists, strict=True))


# --- the second look ---


@pytest.fixture(scope="module")
def astronaut():
    """The astronaut's landmarks and box, as YuNet's first look finds them."""
    photo = images.photo()
    found = answer(built("yunet_s_dynamic")[0], images=planes(photo[None]))
    candidates = Candidates(found["boxes"][0], found["landmarks"][0], found["scores"][0])
    return photo, select_faces(candidates, np.ones(2, np.float32), 0.6, 0.3)


@pytest.mark.parametrize("name", ["yunet_s_dynamic", "yunet_n_dynamic", "scrfd_2.5g_bnkps"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_second_look_keeps_the_contract(name, count):
    served, _, entry = built(name, "face_landmarks")
    crops = textured(count, SECOND_SIDE, SECOND_SIDE)

    found = answer(served, crops=crops)

    assert {key: value.shape for key, value in found.items()} == {
        "landmarks": (count, 5, 2),
        "scores": (count, 1),
        "model": (count, 1),
    }
    assert (found["model"] == entry.id).all()


def test_a_second_look_corrects_shifted_landmarks(astronaut):
    photo, face = astronaut
    served, _, _ = built("yunet_s_dynamic", "face_landmarks")
    eyes = np.linalg.norm(face.landmarks[0, 1] - face.landmarks[0, 0])

    seen = []
    for move in ((0, 0), (0.1, -0.1), (-0.15, 0.05)):
        moved = face.landmarks + np.array(move, np.float32) * eyes
        crops, matrices = cut_for_second_look(photo, crop_matrices(face.boxes, moved))
        found = answer(served, crops=crops)
        assert found["scores"].min() > 0.85
        seen.append(map_back(found["landmarks"], matrices)[0])

    assert np.abs(np.array(seen) - seen[0]).max() < 0.1 * eyes


def test_a_second_look_at_a_mirror_image_is_mirrored(astronaut):
    photo, face = astronaut
    served, _, _ = built("yunet_s_dynamic", "face_landmarks")
    crop = cut_for_second_look(photo, crop_matrices(face.boxes, face.landmarks))[0][0]

    found = answer(served, crops=np.stack([crop, crop[:, ::-1]]))

    straight, mirrored = found["landmarks"]
    assert np.allclose(
        straight, (SECOND_SIDE - 1, 0) + mirrored[[1, 0, 2, 4, 3]] * (-1, 1), atol=0.01
    )
    assert np.ptp(found["scores"]) < 1e-4


def test_without_a_face_in_the_middle_the_score_is_zero():
    served, _, _ = built("yunet_s_dynamic", "face_landmarks")

    found = answer(served, crops=np.full((1, SECOND_SIDE, SECOND_SIDE, 3), 90, np.uint8))

    assert found["scores"].tolist() == [[0]]
    assert np.isfinite(found["landmarks"]).all()


def test_the_simulated_second_look_agrees_with_the_first():
    served = session(simulated.build_landmarks())

    found = answer(served, crops=np.zeros((2, SECOND_SIDE, SECOND_SIDE, 3), np.uint8))

    assert np.array_equal(found["landmarks"], np.stack([SECOND_TEMPLATE] * 2))
    assert found["model"][0, 0].startswith("simulated_detector@")


# --- the simulated graph ---


@pytest.mark.parametrize("size", [(512, 512), (320, 640), (64, 64)])
def test_a_textured_photo_has_one_simulated_face_and_a_flat_one_none(fake, size):
    batch = textured(3, *size)
    batch[1] = 90

    found = answer(fake, images=planes(batch))

    counts = []
    for boxes, landmarks, scores in zip(
        found["boxes"], found["landmarks"], found["scores"], strict=True
    ):
        faces = select_faces(Candidates(boxes, landmarks, scores), np.ones(2, np.float32), 0.6, 0.3)
        counts.append(len(faces.scores))
        x, y, width, height = faces.boxes[0] if len(faces.scores) else (0, 0, 1, 1)
        points = (faces.landmarks - (x, y)) / (width, height)
        assert ((points > 0) & (points < 1)).all(), "landmarks lie in their box"
    assert counts == [1, 0, 1]


@pytest.mark.parametrize("size", [(100, 100), (33, 129), (640, 360)])
def test_padding_alone_is_no_texture(fake, size):
    boxed = letterbox(np.full((*size, 3), 255, np.uint8), 640)

    assert answer(fake, images=planes(boxed.image[None]))["scores"].max() == 0


def test_a_low_threshold_gives_a_simulated_crowd(fake):
    found = answer(fake, images=planes(textured(1, 512, 512)))

    candidates = Candidates(found["boxes"][0], found["landmarks"][0], found["scores"][0])
    faces = select_faces(candidates, np.ones(2, np.float32), 0.1, 0.3)
    assert len(faces.scores) > 40


def test_the_simulated_detector_is_built_deterministically():
    one, other = simulated.build_detector(), simulated.build_detector()

    assert one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)
    assert one.metadata_props[0].value == other.metadata_props[0].value


# --- the real detectors, decoded cell by cell ---


def heads_of(upstream, image, color, mean, scale):
    """The upstream outputs for one RGB image, by name."""
    pixels = image[..., ::-1] if color == "BGR" else image
    planar = ((pixels.astype(np.float32) - mean) * scale).transpose(2, 0, 1)[None]
    names = [output.name for output in upstream.get_outputs()]
    feed = {upstream.get_inputs()[0].name: np.ascontiguousarray(planar)}
    return dict(zip(names, upstream.run(names, feed), strict=True))


def yunet_candidates(upstream, image):
    heads = heads_of(upstream, image, "BGR", 0, 1)
    height, width = image.shape[:2]
    for s in STRIDES:
        cls, obj, bbox, kps = (heads[f"{head}_{s}"][0] for head in ("cls", "obj", "bbox", "kps"))
        for row in range(height // s):
            for col in range(width // s):
                i = row * (width // s) + col
                dx, dy, log_w, log_h = bbox[i]
                w, h = np.exp(log_w) * s, np.exp(log_h) * s
                x, y = (col + dx) * s - w / 2, (row + dy) * s - h / 2
                score = np.sqrt(np.clip(cls[i, 0], 0, 1) * np.clip(obj[i, 0], 0, 1))
                points = [
                    ((col + kps[i, 2 * n]) * s, (row + kps[i, 2 * n + 1]) * s) for n in range(5)
                ]
                yield (x, y, w, h), points, score


def scrfd_candidates(upstream, image):
    heads = list(heads_of(upstream, image, "RGB", 127.5, 1 / 128).values())
    height, width = image.shape[:2]
    for level, s in enumerate(STRIDES):
        scores, bbox, kps = heads[level], heads[level + 3], heads[level + 6]
        i = 0
        for row in range(height // s):
            for col in range(width // s):
                for _anchor in range(2):
                    left, top, right, bottom = bbox[i] * s
                    x, y = col * s, row * s
                    points = [(x + kps[i, 2 * n] * s, y + kps[i, 2 * n + 1] * s) for n in range(5)]
                    yield (x - left, y - top, left + right, top + bottom), points, scores[i, 0]
                    i += 1


@pytest.mark.parametrize("size", [(96, 160), (256, 320)])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("name", "decode"), [("yunet", yunet_candidates), ("scrfd", scrfd_candidates)]
)
def test_a_detector_decodes_by_the_published_formulas(name, decode, count, size, request):
    served, upstream, _ = request.getfixturevalue(name)
    batch = textured(count, *size)

    found = answer(served, images=planes(batch))

    for n, image in enumerate(batch):
        boxes, points, scores = (np.array(x, np.float32) for x in zip(*decode(upstream, image)))  # noqa: B905
        k = found["scores"].shape[1]
        assert k == min(len(scores), LISTED)
        # Squared, because YuNet's root magnifies rounding errors near 0.
        assert np.allclose(found["scores"][n] ** 2, np.sort(scores)[::-1][:k] ** 2, atol=1e-5)
        # Each served candidate equals a decoded one in box, landmarks and score together.
        rows = np.column_stack([boxes, points.reshape(-1, 10), scores * 100])
        for box, landmarks, score in list(
            zip(found["boxes"][n], found["landmarks"][n], found["scores"][n], strict=True)
        )[:100]:
            row = np.concatenate([box, landmarks.reshape(-1), [score * 100]])
            assert np.abs(rows - row).max(axis=1).min() < 0.05


@pytest.mark.parametrize("name", ["yunet", "scrfd"])
def test_a_detector_expects_rgb_and_finds_the_astronaut(name, request):
    served, _, _ = request.getfixturevalue(name)
    photo = cv2.imdecode(np.frombuffer(images.astronaut(), np.uint8), cv2.IMREAD_COLOR_RGB)

    found = answer(served, images=planes(photo[None]))

    candidates = Candidates(found["boxes"][0], found["landmarks"][0], found["scores"][0])
    faces = select_faces(candidates, np.ones(2, np.float32), 0.6, 0.3)
    assert len(faces.scores) == 1
    right_eye, left_eye, nose, right_mouth, left_mouth = faces.landmarks[0]
    assert right_eye[0] < nose[0] < left_eye[0], "image-left comes first"
    assert right_mouth[0] < left_mouth[0]
    assert right_eye[1] < nose[1] < right_mouth[1]


@pytest.mark.parametrize("size", [(256, 320), (512, 512), (480, 640)])
def test_yunet_agrees_with_opencv(yunet, size):
    path = weights("face_detection_yunet_2023mar.onnx")
    whole = cv2.imdecode(np.frombuffer(images.astronaut(), np.uint8), cv2.IMREAD_COLOR_RGB)
    boxed = letterbox(np.ascontiguousarray(whole[: size[0], : size[1]]), 640)
    height, width = boxed.image.shape[:2]
    reference = cv2.FaceDetectorYN.create(str(path), "", (width, height), 0.6, 0.3, 5000)
    _, expected = reference.detect(np.ascontiguousarray(boxed.image[..., ::-1]))

    found = answer(yunet[0], images=planes(boxed.image[None]))

    candidates = Candidates(found["boxes"][0], found["landmarks"][0], found["scores"][0])
    faces = select_faces(candidates, np.ones(2, np.float32), 0.6, 0.3)
    assert len(expected) == len(faces.scores) == 1
    x, y, w, h = expected[0, :4]
    left, top, wide, high = faces.boxes[0]
    across = min(x + w, left + wide) - max(x, left)
    down = min(y + h, top + high) - max(y, top)
    assert across * down / (w * h + wide * high - across * down) > 0.95
    # OpenCV returns those of the best candidate, select_faces the mean of all.
    assert np.abs(candidates.landmarks[0] - expected[0, 4:14].reshape(5, 2)).max() < 1
    assert faces.scores[0] == pytest.approx(expected[0, 14], abs=0.01)
