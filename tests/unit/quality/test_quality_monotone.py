"""Each quality part falls with the degradation that it measures."""

import itertools

import cv2
import images
import numpy as np
import pytest
from measured_face import BOX, LANDMARKS, SIZE, measured, of_crop

from aurum.imaging.align import SIDE
from aurum.quality import parts
from aurum.quality.parts import PARTS


def falling(values, by=0.0):
    return all(before - after > by for before, after in itertools.pairwise(values))


def test_blur_lowers_sharpness():
    assert falling([of_crop(lambda x, s=s: cv2.GaussianBlur(x, (0, 0), s))["sharpness"]
                  for s in (0.3, 1, 2, 3, 5)], 0.01)  # fmt: skip


def test_a_smaller_photo_lowers_resolution_and_sharpness():
    found = []
    for scale in (1.0, 0.5, 0.25, 0.12):
        size = (round(SIZE[0] * scale), round(SIZE[1] * scale))
        small = cv2.resize(images.photo(), size, interpolation=cv2.INTER_AREA)
        found.append(measured(small, (scale * LANDMARKS).astype(np.float32), scale * BOX))
    assert falling([item["resolution"] for item in found], 1)
    assert falling([item["sharpness"] for item in found], 0.01)


def test_added_noise_is_measured():
    random = np.random.default_rng(1)
    found = [of_crop(lambda x, s=s: x + random.normal(0, s, x.shape))["noise"]
             for s in (0, 5, 15, 40)]  # fmt: skip
    assert falling([-value for value in found], 1)


@pytest.mark.parametrize("gains", [(1, 0.5, 0.3, 0.2, 0.14), (1, 1.5, 2, 3, 6)])
def test_too_little_or_too_much_light_lowers_exposure(gains):
    assert falling([of_crop(lambda x, g=g: x * g)["exposure"] for g in gains], 0.01)


def test_fog_and_darkness_lower_contrast():
    shares = (1, 0.6, 0.3, 0.1, 0.02)
    assert falling([of_crop(lambda x, s=s: 128 + s * (x - 128))["contrast"] for s in shares], 0.005)
    assert falling([of_crop(lambda x, s=s: s * x)["contrast"] for s in shares], 0.003)


def test_light_from_one_side_lowers_symmetry():
    across = np.linspace(0, 1, SIDE)[None, :, None]
    found = [of_crop(lambda x, s=s: x * s**across)["symmetry"] for s in (1, 0.6, 0.3, 0.1)]
    assert falling(found, 0.02)


def test_covering_an_eye_or_the_mouth_lowers_visibility():
    face = cv2.resize(parts.MEAN_FACE, (96, 96), interpolation=cv2.INTER_LINEAR)
    crop = np.full((SIDE, SIDE), 128, np.uint8)
    crop[16:112, 8:104] = np.rint(face)
    for rows, columns in ((slice(36, 68), (20, 56)), (slice(36, 68), (56, 92)),
                          (slice(76, 108), (28, 84))):  # fmt: skip
        for tone in (None, 0, 60, 230):
            found = []
            for share in (0, 0.4, 0.7, 1):
                covered = crop.copy()
                width = round(share * (columns[1] - columns[0]))
                part = np.s_[rows, columns[0] : columns[0] + width]
                own = crop[rows, columns[0] : columns[1]].mean()
                covered[part] = own if tone is None else tone
                row = measured(crops=np.repeat(covered[None, ..., None], 3, axis=3))
                found.append(row["visibility"])
            assert found[0] > 0.9
            assert max(found[1:]) < found[0] - 0.02
            assert found[-1] < 0.1
            # A cover's own edge can look like a feature, so only a low-contrast one is monotone.
            assert tone is not None or falling(found, 0.02), found


def test_rotating_the_photo_changes_only_the_roll():
    straight = measured()
    for degrees in (-120, -30, 20, 90):
        middle = (images.WIDTH / 2, images.HEIGHT / 2)
        # OpenCV rotates counterclockwise.
        way = cv2.getRotationMatrix2D(middle, -degrees, 1)
        way[:, 2] += 200
        photo = cv2.warpAffine(images.photo(), way, (720, 720))
        landmarks = LANDMARKS @ way[:, :2].T + way[:, 2]
        found = measured(
            photo,
            landmarks.astype(np.float32),
            (BOX + np.array([200, 200, 0, 0])).astype(np.float32),
        )
        turned = (found["roll"] - straight["roll"] + 180) % 360 - 180
        assert turned == pytest.approx(degrees, abs=0.1)
        for name in ("resolution", "yaw", "pitch", "frontality", "misfit"):
            assert found[name] == pytest.approx(straight[name], abs=0.1)
        assert found["visibility"] == pytest.approx(straight["visibility"], abs=0.05)


def test_mirroring_the_photo_changes_only_signs():
    mirrored = np.ascontiguousarray(images.photo()[:, ::-1])
    landmarks = (LANDMARKS * (-1, 1) + (images.WIDTH - 1, 0))[:, [1, 0, 2, 4, 3]]
    found, plain = measured(mirrored, landmarks.astype(np.float32)), measured()
    for name in PARTS:
        sign = -1 if name in ("yaw", "roll") else 1
        assert found[name] == pytest.approx(sign * plain[name], abs=0.5, rel=0.05), name


def test_shifting_a_face_over_the_border_raises_the_border_cut():
    found = [measured(box=(BOX - (shift, 0, 0, 0)).astype(np.float32))["border_cut"]
             for shift in (100, 135, 160, 190)]  # fmt: skip
    assert found[0] == 0
    assert falling([-value for value in found], 0.1)
