import cv2
import images
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.transform import SimilarityTransform

from aurum.imaging.align import SIDE, TEMPLATE, align, similarity

BOX = np.array([[0, 0, 10, 10]], np.float32)


def transformed(scale, degrees, x, y, *, noise=0.0, seed=0):
    """Scale, rotate and move the template's landmarks; also return the transform [2,3]."""
    angle = np.deg2rad(degrees)
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    way = np.column_stack([rotation, (x, y)])
    points = TEMPLATE @ rotation.T + (x, y)
    points += np.random.default_rng(seed).normal(0, noise * scale, points.shape)
    return points.astype(np.float32), way


def reference(landmarks):
    """scikit-image's least-squares similarity, which the embedders' authors use."""
    transform = SimilarityTransform()
    if hasattr(SimilarityTransform, "from_estimate"):
        transform = SimilarityTransform.from_estimate(landmarks, TEMPLATE)
    else:
        assert transform.estimate(landmarks, TEMPLATE)
    return transform.params[:2]


def crop_of(photo, landmarks):
    return align(photo, BOX, landmarks[None])[0]


def noise_photo(height, width, seed=0):
    """Smooth texture whose neighbouring pixels are similar, as in a photo."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3))
    return cv2.resize(small.astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


def difference(one, other):
    return np.abs(one.astype(int) - other).mean()


@settings(max_examples=100)
@given(
    scale=st.floats(0.05, 20),
    degrees=st.floats(-180, 180),
    x=st.floats(-2000, 5000),
    y=st.floats(-2000, 5000),
    noise=st.floats(0, 8),
    seed=st.integers(0, 1000),
)
def test_the_similarity_agrees_with_scikit_image(scale, degrees, noise, seed, **corner):
    landmarks, _ = transformed(scale, degrees, **corner, noise=noise, seed=seed)
    # In float64 and centred, because scikit-image's own error grows with the distance.
    landmarks = landmarks.astype(np.float64)
    middle = landmarks.mean(axis=0)

    matrix = similarity(landmarks)

    assert np.allclose(matrix[:, :2], reference(landmarks - middle)[:, :2], atol=1e-6)
    at_middle = matrix @ (*middle, 1)
    assert np.allclose(at_middle, TEMPLATE.astype(np.float64).mean(axis=0), atol=1e-6)


def test_the_similarity_of_the_template_is_the_identity():
    assert np.allclose(similarity(TEMPLATE), [[1, 0, 0], [0, 1, 0]], atol=1e-9)


def test_a_mirrored_face_is_not_mirrored_back():
    mirrored = TEMPLATE * (-1, 1)

    matrix = similarity(mirrored.astype(np.float32))

    assert np.linalg.det(matrix[:, :2]) > 0


@pytest.mark.parametrize("spread", [0, 1e-3, 0.1])
def test_landmarks_in_one_point_have_no_similarity(spread):
    landmarks = np.full((5, 2), 30, np.float32) + spread * np.eye(5, 2, dtype=np.float32)

    with pytest.raises(ValueError, match="lie in one point"):
        similarity(landmarks)


@pytest.mark.parametrize("degrees", [0, 17, 90, 180, -135])
@pytest.mark.parametrize("scale", [0.3, 1.0, 1.9])
def test_a_crop_of_a_small_face_is_a_plain_warp(scale, degrees):
    photo = noise_photo(600, 700)
    landmarks, way = transformed(scale, degrees, 0, 0, noise=2.0)
    landmarks += (350, 300) - way[:, :2] @ (56, 56)
    landmarks = landmarks.astype(np.float32)

    crop = crop_of(photo, landmarks)

    plain = cv2.warpAffine(photo, reference(landmarks.astype(np.float64)), (SIDE, SIDE))
    assert np.abs(crop.astype(int) - plain).max() <= 2
    assert difference(crop, plain) < 0.05


@pytest.mark.parametrize("degrees", [0, 40, 90, 180, -100])
@pytest.mark.parametrize("scale", [0.7, 1.5, 2.0, 2.9, 5.3, 11.0])
def test_landmarks_land_on_the_template(scale, degrees):
    """Blobs painted at the landmarks land on the template, to a fraction of a pixel."""
    height, width = 2400, 2600
    _, way = transformed(scale, degrees, 0, 0)
    shift = (width / 2, height / 2) - way[:, :2] @ (56, 56)
    landmarks = (TEMPLATE @ way[:, :2].T + shift).astype(np.float32)
    rows, columns = np.indices((height, width), np.float32)
    photo = np.zeros((height, width), np.float32)
    radius = 2.5 * scale
    for x, y in landmarks:
        left, top, reach = int(x), int(y), int(5 * radius)
        part = np.s_[top - reach : top + reach, left - reach : left + reach]
        far = ((columns[part] - x) ** 2 + (rows[part] - y) ** 2) / (2 * radius**2)
        photo[part] += 250 * np.exp(-far)
    photo = np.repeat(photo.clip(0, 255).round().astype(np.uint8)[..., None], 3, axis=2)

    crop = crop_of(photo, landmarks)[..., 0].astype(float)

    rows, columns = np.indices(crop.shape)
    for x, y in TEMPLATE:
        near = crop * (np.hypot(columns - x, rows - y) < 8)
        centre = (columns * near).sum() / near.sum(), (rows * near).sum() / near.sum()
        assert np.abs(np.array(centre) - (x, y)).max() < 0.1


@pytest.mark.parametrize(("scale", "degrees"), [(2.4, 0), (3.7, 25), (6.0, 70), (9.5, -160)])
def test_a_big_face_is_averaged_not_sampled(scale, degrees):
    photo = np.random.default_rng(1).integers(0, 256, (1600, 1600, 3), np.uint8)
    _, way = transformed(scale, degrees, 0, 0)
    way[:, 2] = (800, 800) - way[:, :2] @ (56, 56)
    landmarks = (TEMPLATE @ way[:, :2].T + way[:, 2]).astype(np.float32)

    crop = crop_of(photo, landmarks)

    matrix = similarity(landmarks)
    # The ideal: the mean of many samples within each pixel of the crop.
    fine = 8
    enlarged = matrix * fine
    enlarged[:, 2] += (fine - 1) / 2
    samples = cv2.warpAffine(photo, enlarged, (SIDE * fine, SIDE * fine))
    ideal = samples.reshape(SIDE, fine, SIDE, fine, 3).mean(axis=(1, 3))
    plain = cv2.warpAffine(photo, matrix, (SIDE, SIDE))
    assert np.abs(crop - ideal).mean() < 0.4 * np.abs(plain - ideal).mean()


def test_a_fine_checkerboard_becomes_gray():
    board = (np.indices((1200, 1200)).sum(axis=0) % 2 * 255).astype(np.uint8)
    photo = np.repeat(board[..., None], 3, axis=2)
    landmarks, _ = transformed(4.37, 13, 400, 300)

    crop = crop_of(photo, landmarks)

    plain = cv2.warpAffine(photo, similarity(landmarks), (SIDE, SIDE))
    assert crop.std() < 8
    assert plain.std() > 30
    assert abs(crop.mean() - 127.5) < 2


@pytest.mark.parametrize("scale", [1.0, 3.2])
def test_pixels_beyond_the_border_are_black(scale):
    photo = np.full((400, 400, 3), 200, np.uint8)
    middle = -scale * 56  # a face centred on the photo's corner
    landmarks, _ = transformed(scale, 0, middle, middle)

    crop = crop_of(photo, landmarks)

    assert (crop[58:, 58:] == 200).all()
    assert (crop[:54] == 0).all()
    assert (crop[:, :54] == 0).all()


@pytest.mark.parametrize("scale", [0.5, 4.0, 1000.0])
@pytest.mark.parametrize("x", [-1e5, 1e5])
@pytest.mark.parametrize("shape", [(1, 1, 3), (300, 300, 3)])
def test_a_face_outside_the_photo_is_black(shape, x, scale):
    photo = np.full(shape, 200, np.uint8)
    landmarks, _ = transformed(scale, 0, x * max(scale, 1), 0)

    assert (crop_of(photo, landmarks) == 0).all()


@pytest.mark.parametrize("offset", [20, 20_000, 32_700, 39_500])
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_a_very_wide_photo(offset, scale):
    """OpenCV's warp rejects images with a side of 32767 pixels or more."""
    photo = np.zeros((400, 40_000, 3), np.uint8)
    photo[:, offset : offset + 400] = noise_photo(400, 400)
    landmarks, _ = transformed(scale, 10, 60, 20)
    far = landmarks + np.array([offset, 0], np.float32)

    crop = crop_of(photo, far)

    near = crop_of(np.ascontiguousarray(photo[:, offset : offset + 400]), landmarks)
    # A large face is averaged on a grid with another origin.
    assert difference(crop, near) < (0.3 if scale < 2 else 1.5)
    tall = crop_of(photo.transpose(1, 0, 2), far[:, ::-1])
    assert tall.shape == (SIDE, SIDE, 3)


def test_degenerate_landmarks_fall_back_to_the_box():
    photo = noise_photo(200, 300)
    box = np.array([[50, 40, 100, 80]], np.float32)
    landmarks = np.full((1, 5, 2), 90, np.float32)

    crop = align(photo, box, landmarks)[0]

    square = photo[30:130, 50:150]  # the square around the box's centre, with its longer side
    assert difference(crop, cv2.resize(square, (SIDE, SIDE))) < 6


@pytest.mark.parametrize("box", [[0, 0, 0, 0], [10, 10, 0.1, 0.1], [-50, -50, 1e5, 1e5]])
def test_degenerate_boxes_still_give_a_crop(box):
    crops = align(noise_photo(64, 64), np.array([box], np.float32), np.zeros((1, 5, 2), np.float32))

    assert crops.shape == (1, SIDE, SIDE, 3)


def test_crops_keep_the_order_of_their_faces():
    photo = noise_photo(500, 900)
    several = np.stack(
        [transformed(1.2, a, x, 150)[0] for a, x in ((0, 50), (30, 400), (-20, 650))]
    )

    crops = align(photo, np.repeat(BOX, 3, axis=0), several)

    assert crops.dtype == np.uint8
    for crop, landmarks in zip(crops, several, strict=True):
        assert (crop == crop_of(photo, landmarks)).all()


def test_no_faces_give_no_crops():
    none = align(noise_photo(64, 64), np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32))

    assert none.shape == (0, SIDE, SIDE, 3)
    assert none.dtype == np.uint8


def test_a_rotated_photo_gives_the_same_crop():
    photo = images.photo()
    landmarks = np.array([[140, 105], [183, 100], [170, 130], [147, 150], [180, 147]], np.float32)
    upside_down = np.ascontiguousarray(photo[::-1, ::-1])
    moved = (images.WIDTH - 1, images.HEIGHT - 1) - landmarks
    large = np.asarray(Image.fromarray(photo).resize((images.WIDTH * 3, images.HEIGHT * 3)))

    crop = crop_of(photo, landmarks)

    assert difference(crop_of(upside_down, moved), crop) < 1
    assert difference(crop_of(large, 3 * landmarks + 1), crop) < 4
