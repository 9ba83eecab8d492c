"""Each quality part against hand-computed values; the total quality; arbitrary input."""

import cv2
import images
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measured_face import BOX, LANDMARKS, SIZE, measured, of_crop
from skimage.measure import blur_effect

from aurum.imaging.align import SIDE, TEMPLATE, align
from aurum.quality import parts
from aurum.quality.parts import PARTS, quality_parts
from aurum.quality.weights import FITTED, Model


def gray(pixels):
    return np.array(pixels, np.uint8)[None]


# --- hand-computed values ---


def test_resolution_is_the_distance_between_the_eyes():
    assert measured()["resolution"] == pytest.approx(np.hypot(46.6, 0.7), abs=1e-3)


def test_sharpness_agrees_with_scikit_image():
    """Its blur effect takes Sobel's differences of the whole image, so alike and not equal."""
    crop = align(images.photo(), BOX, LANDMARKS)[0]
    for sigma in (0, 1, 2, 3):
        blurred = cv2.GaussianBlur(crop, (0, 0), sigma) if sigma else crop
        inner = cv2.cvtColor(blurred, cv2.COLOR_RGB2GRAY)[24:108, 24:88]
        expected = 1 - blur_effect(inner, h_size=9)
        assert measured(crops=blurred[None])["sharpness"] == pytest.approx(expected, abs=0.08)


def test_sharpness_of_lines_is_what_a_9_pixel_mean_removes():
    columns, rows = np.zeros((112, 112)), np.zeros((112, 112))
    columns[:, ::2] = 180
    rows[::2] = 180
    # Across the lines neighbours differ by 180, and by 180/9 after the mean. Along them nothing
    # differs, which is no sharpness at all: the worse direction counts.
    assert parts.sharpness(gray(columns)) == pytest.approx(0)
    assert parts.sharpness(gray((columns + rows) / 2)) == pytest.approx(8 / 9, abs=0.01)


def test_noise_is_the_sigma_that_was_added():
    random = np.random.default_rng(0)
    for sigma in (2, 8, 20):
        noisy = 128 + random.normal(0, sigma, (112, 112))
        assert parts.noise(gray(np.rint(noisy))) == pytest.approx(sigma, rel=0.05)
    slope = np.add.outer(np.arange(112), np.arange(112))
    assert parts.noise(gray(slope)) == pytest.approx(0)


def test_exposure_counts_pixels_that_are_neither_black_nor_white():
    image = np.full((112, 112), 128)
    for value, good in ((25, 0.5), (26, 1), (246, 1), (247, 0.5), (0, 0.5), (255, 0.5)):
        image[24:108, 24:56] = value  # half of the inner part
        assert parts.exposure(gray(image)) == pytest.approx(good), value


def test_contrast_is_the_standard_deviation():
    image = np.full((112, 112), 255)
    assert parts.contrast(gray(image)) == pytest.approx(0)
    image[24:108, 24:56] = 0
    assert parts.contrast(gray(image)) == pytest.approx(0.5)
    image[24:108, 24:56] = 204  # 51 = 0.2 * 255 apart
    assert parts.contrast(gray(image)) == pytest.approx(0.1)


def test_symmetry_is_the_correlation_with_the_mirror_image():
    across = np.linspace(-100, 100, 24)
    ramp = np.tile(across, (24, 1)).astype(np.float32)
    hill = np.abs(ramp)
    assert parts.symmetry(ramp[None])[0] == pytest.approx(-1, abs=1e-3)
    assert parts.symmetry(hill[None])[0] == pytest.approx(1, abs=5e-3)
    # Of two parts as strong as each other, one symmetrical and one not: (a - b) / (a + b) = 0.
    even, odd = hill - hill[:, 2:22].mean(), ramp
    even = even * (odd[:, 2:22].std() / even[:, 2:22].std())
    assert parts.symmetry((even + odd)[None].astype(np.float32))[0] == pytest.approx(0, abs=1e-3)


def test_the_mean_face_is_fully_visible():
    face = parts.MEAN_FACE[None]
    assert parts.visibility(face)[0] == pytest.approx(1, abs=0.02)
    assert parts.visibility(255 - face)[0] == pytest.approx(-1, abs=0.02)
    for patch in ((slice(5, 13), slice(3, 12)), (slice(15, 23), slice(5, 19))):
        covered = face.copy()
        covered[:, *patch] = 90
        assert parts.visibility(covered)[0] == pytest.approx(0, abs=1e-4)


def test_misfit_is_in_pixels_of_the_crop():
    moved = TEMPLATE.astype(float)[None].copy()
    exact = parts.landmark_residual(moved)[0]
    assert exact < 0.3
    moved[0, 4, 1] += 12
    bent = parts.landmark_residual(moved)[0]
    assert bent > 2
    assert parts.landmark_residual(7 * moved + 300)[0] == pytest.approx(bent)


@pytest.mark.parametrize(
    ("box", "share"),
    [
        ([0, 0, 320, 256], 0),
        ([10, 10, 50, 50], 0),
        ([-25, 0, 100, 80], 0.25),
        ([270, 0, 100, 80], 0.5),
        ([0, 216, 80, 100], 0.6),
        ([-50, -50, 100, 100], 0.75),
        ([400, 0, 10, 10], 1),
        ([-99, 0, 10, 10], 1),
    ],
)
def test_border_cut_is_the_share_outside_the_photo(box, share):
    assert parts.border_cut(SIZE, np.array([box], float))[0] == pytest.approx(share)


def test_score_and_norm_are_passed_on():
    found = measured(score=0.75, norms=np.array([[17.5]], np.float32))
    assert (found["confidence"], found["norm"]) == (0.75, 17.5)
    assert measured()["norm"] == 0


def test_frontality_is_the_cosine_of_the_turn():
    from test_pose import head

    for yaw, pitch in ((0, 0), (30, 0), (0, -40), (50, 20)):
        found = measured(
            landmarks=head(yaw, pitch, 25, scale=1.2, at=(160, 128)).astype(np.float32)
        )
        expected = np.cos(np.deg2rad(yaw)) * np.cos(np.deg2rad(pitch))
        assert found["frontality"] == pytest.approx(expected, abs=1e-4)
        assert [found[name] for name in ("yaw", "pitch", "roll")] == pytest.approx(
            [yaw, pitch, 25], abs=1e-2
        )


def test_recognizability_is_the_distance_from_unrecognizable_faces():
    centre = np.zeros(512, np.float32)
    centre[0] = 1
    embeddings = np.zeros((4, 512), np.float32)
    embeddings[:, 0] = (1, 0.6, 0, -1)
    embeddings[:, 1] = (0, 0.8, 1, 0)
    assert parts.recognizability(embeddings, centre) == pytest.approx([0, 0.4, 1, 2])
    assert np.linalg.norm(parts.CENTRE) == pytest.approx(1, abs=1e-6)


def test_recognizability_is_known_for_one_embedder_only():
    own = parts.CENTRE[None]
    for sign, value in ((1, 0), (-1, 2)):
        found = measured(embeddings=sign * own, embedder=FITTED.embedder)
        assert found["recognizability"] == pytest.approx(value, abs=1e-6)
    assert measured(embeddings=-own, embedder="another@0")["recognizability"] == 0
    assert measured(embeddings=-own)["recognizability"] == 0
    assert measured(embedder=FITTED.embedder)["recognizability"] == 0


# --- all parts together ---


def test_no_faces_give_no_rows():
    none = np.zeros((0, 4), np.float32)
    found = quality_parts(
        SIZE, np.zeros((0, SIDE, SIDE, 3), np.uint8), none, np.zeros((0, 5, 2), np.float32),
        np.zeros(0, np.float32),
    )  # fmt: skip
    assert found.shape == (0, len(PARTS))
    assert found.dtype == np.float32
    assert parts.quality(found).shape == (0,)


def test_many_faces_are_measured_as_each_one_alone():
    random = np.random.default_rng(5)
    crops = random.integers(0, 256, (7, SIDE, SIDE, 3), np.uint8)
    crops[3] = 0
    landmarks = (TEMPLATE + random.normal(0, 4, (7, 5, 2))).astype(np.float32)
    boxes = random.uniform(-50, 200, (7, 4)).astype(np.float32)
    scores, norms = random.random((2, 7)).astype(np.float32)
    embeddings = random.normal(size=(7, 512)).astype(np.float32)
    embedder = FITTED.embedder
    given = (crops, boxes, landmarks, scores, norms, embeddings)
    together = quality_parts(SIZE, *given, embedder)
    for index in range(7):
        one = np.s_[index : index + 1]
        alone = quality_parts(SIZE, *(values[one] for values in given), embedder)
        assert together[one] == pytest.approx(alone, rel=1e-5, abs=1e-5)


@settings(max_examples=60)
@given(
    crop=st.sampled_from([0, 1, 127, 255, "noise"]),
    points=st.lists(
        st.sampled_from([0.0, 1e-30, 55.0, -1e6, 1e6, 3e38, np.nan, np.inf, -np.inf]),
        min_size=10,
        max_size=10,
    ),
    box=st.lists(
        st.sampled_from([0.0, 5.0, -7.0, 1e-30, 3e38, np.nan, np.inf]), min_size=4, max_size=4
    ),
    norm=st.sampled_from([0.0, 1e-12, 20.0, np.inf, np.nan]),
    embedding=st.sampled_from([0.0, 1.0, -1e30, np.nan]),
)
def test_any_input_gives_finite_parts(crop, points, box, norm, embedding):
    pixels = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    crops = pixels if crop == "noise" else np.full_like(pixels, crop)
    found = quality_parts(
        (1, 1),
        crops,
        np.array([box], np.float32),
        np.array(points, np.float32).reshape(1, 5, 2),
        np.array([0.5], np.float32),
        np.array([norm], np.float32),
        np.full((1, 512), embedding, np.float32),
        FITTED.embedder,
    )
    assert np.isfinite(found).all()
    for embedder in ("", FITTED.embedder):
        value = parts.quality(found, embedder)
        assert (value >= 0).all()
        assert (value <= 1).all()


def test_the_total_is_the_logistic_function_of_the_weighted_parts():
    count = len(PARTS)
    row = np.ones((1, count), np.float32)
    row[0, PARTS.index("resolution")] = np.e
    row[0, PARTS.index("yaw")] = -3
    mean, spread = np.zeros(count), np.ones(count)
    spread[PARTS.index("yaw")] = 2
    weights = np.zeros(2 * count)
    weights[PARTS.index("resolution")] = 0.5  # times log(e) = 1
    weights[PARTS.index("yaw")] = 2.0  # times |-3| / 2 = 1.5
    weights[count + PARTS.index("yaw")] = -1.0  # times its square, 2.25
    model = Model(mean, spread, weights, 0.25)

    assert parts.total(row, model)[0] == pytest.approx(1 / (1 + np.exp(-1.5)))

    row[0, PARTS.index("resolution")] = 1e30  # clipped at 4 spreads
    assert parts.total(row, model)[0] == pytest.approx(1 / (1 + np.exp(-3.0)))


@pytest.mark.parametrize("part", PARTS[parts.COMMON_PARTS :])
def test_an_embedders_own_parts_count_only_for_that_embedder(part):
    row = np.array(list(measured(norms=np.array([2.0], np.float32)).values()), np.float32)
    rows = np.array([row, row])
    rows[:, PARTS.index(part)] = FITTED.of_embedder.mean[PARTS.index(part)] * np.array([0.9, 1.1])
    low, high = parts.quality(rows, "another@0")
    assert low == high
    low, high = parts.quality(rows, FITTED.embedder)
    assert low != high


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: cv2.GaussianBlur(x, (0, 0), 6),
        lambda x: x * 6,
        lambda x: x * (np.abs(np.arange(SIDE) - 52)[:, None, None] > 14),
    ],
    ids=["blur", "bright", "eyes covered"],
)
def test_a_degraded_face_has_a_lower_total(spoil):
    good, bad = of_crop(lambda x: x), of_crop(spoil)
    rows = np.array([list(good.values()), list(bad.values())], np.float32)
    first, second = parts.quality(rows)
    assert first > second


# --- a face that is not upright in the photo ---


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_roll_is_measured_in_the_photo_as_sent_and_the_rest_on_the_upright_face(turn):
    """An upright face, and the same face rotated; landmarks in the face's own order."""
    upright = PARTS.index("roll")
    points = TEMPLATE[None].astype(np.float32)
    angle = np.deg2rad(-turn)  # rotating it clockwise by `turn` makes it upright again
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
    crop = np.random.default_rng(0).integers(0, 256, (1, 112, 112, 3), np.uint8)
    box, score = np.array([[0, 0, 112, 112]], np.float32), np.array([0.9], np.float32)

    straight = quality_parts((112, 112), crop, box, points, score)
    turned = quality_parts((112, 112), crop, box, (points - 56) @ matrix + 56, score)

    leans = (turned[0, upright] - straight[0, upright] + 180) % 360 - 180
    assert abs(leans) == pytest.approx(min(turn, 360 - turn), abs=0.01)
    assert leans == pytest.approx(-turn if turn < 180 else 360 - turn, abs=0.01) or turn == 180
    rotations = np.array([turn], np.int32)
    of = parts.quality
    assert of(parts.as_upright(turned, rotations)) == pytest.approx(of(straight), abs=1e-5)
