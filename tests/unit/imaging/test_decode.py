import re

import images
import numpy as np
import pytest
from PIL import Image

from aurum.imaging.decoding import jpeg as jpeg_header
from aurum.imaging.decoding.decode import decode
from aurum.imaging.decoding.refusal import InvalidImageError

BYTES, PIXELS = 10_000_000, 50_000_000
GOOD, BAD = images.good(), images.bad(BYTES, PIXELS)
OTHER = ("astronaut", "tiny", "wide", "tall", "gray sampling")
# The mean difference from the photo, of 255, that each format's losses may cause.
LOSSLESS = ("png", "webp lossless", "png rgba", "png 16-bit")
LOSS = {"png palette": 3, "png palette transparent": 3, "png 1-bit": 128}


def gray(photo):
    return np.repeat(np.asarray(Image.fromarray(photo).convert("L"))[..., None], 3, axis=2)


def difference(one, other):
    return np.abs(one.astype(int) - other).mean()


@pytest.mark.parametrize("name", GOOD)
def test_a_good_photo_becomes_upright_rgb(name):
    data, (width, height) = GOOD[name]

    photo = decode(data, BYTES, PIXELS)

    assert photo.shape == (height, width, 3)
    assert photo.dtype == np.uint8
    assert photo.flags.c_contiguous
    assert photo.flags.writeable
    if name.startswith(OTHER):
        return
    expected = gray(images.photo()) if "gray" in name else images.photo()
    lossless = name in LOSSLESS or name.startswith("png orientation")
    assert difference(photo, expected) <= (0 if lossless else LOSS.get(name, 2.5))


@pytest.mark.parametrize("name", BAD)
def test_a_bad_photo_is_refused_with_its_reason(name):
    data, pattern = BAD[name]

    with pytest.raises(InvalidImageError) as caught:
        decode(data, BYTES, PIXELS)

    assert re.search(pattern, str(caught.value))


@pytest.mark.parametrize("orientation", range(2, 9))
def test_all_orientations_decode_to_the_same_photo(orientation):
    upright = decode(GOOD["jpeg orientation 1"][0], BYTES, PIXELS)

    turned = decode(GOOD[f"jpeg orientation {orientation}"][0], BYTES, PIXELS)

    assert difference(turned, upright) < 1


def test_the_limits_are_inclusive():
    data, (width, height) = GOOD["jpeg"]

    assert decode(data, len(data), width * height).shape == (height, width, 3)
    with pytest.raises(InvalidImageError, match=r"AURUM_MAX_IMAGE_BYTES"):
        decode(data, len(data) - 1, width * height)
    for name, setting in (("jpeg", "JPEG"), ("png", "IMAGE"), ("heic", "IMAGE"), ("avif", "IMAGE")):
        message = rf"320x256 = 81920 .* \(AURUM_MAX_{setting}_PIXELS\)"
        with pytest.raises(InvalidImageError, match=message):
            decode(GOOD[name][0], BYTES, width * height - 1)


@pytest.mark.parametrize("name", [name for name in BAD if name.startswith("bomb")])
def test_decompression_bombs_are_small_files(name):
    assert len(BAD[name][0]) < 200_000


def test_alpha_is_dropped_and_not_blended():
    pixels = np.full((8, 8, 4), (200, 100, 50, 0), np.uint8)

    for kind in ("PNG", "WEBP"):
        data = images.save(Image.fromarray(pixels), kind, lossless=True, exact=True)
        assert (decode(data, BYTES, PIXELS) == (200, 100, 50)).all(), kind


def test_16_bit_becomes_8_bit():
    ramp = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)

    photo = decode(images.opencv(".png", ramp), BYTES, PIXELS)

    assert (photo == np.arange(256).reshape(16, 16, 1)).all()


@pytest.mark.parametrize("before", [b"\xff\xc4", b"\xff\xda", b"\xff\xdb"])
def test_stray_bytes_between_segments_are_ignored(before):
    data = GOOD["jpeg"][0]
    at = data.index(before)

    photo = decode(data[:at] + b"\x12\x34" + data[at:], BYTES, PIXELS)

    assert difference(photo, images.photo()) < 1


def test_a_fatal_error_in_the_middle_never_gives_half_a_photo():
    data = GOOD["jpeg"][0]
    at = images.entropy(data) + 5000

    with pytest.raises(InvalidImageError, match="corrupt or truncated"):
        decode(data[:at] + b"\xff\x08" + data[at + 2 :], BYTES, PIXELS)


def test_many_scans_are_refused_but_not_bytes_that_only_look_like_scans():
    most = jpeg_header.MAX_SCANS
    scan_in_comment = images.segment(0xFE, b"\xff\xda" * 5000)
    plain = GOOD["jpeg"][0]

    assert decode(images.many_scans(64, 64, most), BYTES, PIXELS).shape == (64, 64, 3)
    with pytest.raises(InvalidImageError, match="JPEG image is corrupt"):
        decode(images.many_scans(64, 64, most + 1), BYTES, PIXELS)
    end_in_comment = images.segment(0xFE, b"\xff\xd9")
    slow = images.many_scans(64, 64, most + 1)
    with pytest.raises(InvalidImageError, match="JPEG image is corrupt"):
        decode(slow[:2] + end_in_comment + slow[2:], BYTES, PIXELS)
    for harmless in (plain[:2] + scan_in_comment + plain[2:], plain + b"\xff\xda" * 5000):
        assert difference(decode(harmless, BYTES, PIXELS), images.photo()) < 1


SEEDS = [
    "jpeg", "jpeg progressive", "jpeg gray", "jpeg cmyk", "jpeg orientation 6", "mpo", "png",
    "png palette", "png gray alpha", "webp", "webp lossless", "webp alpha", "jpeg damaged exif",
    "heic", "avif",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", SEEDS)
def test_any_bytes_give_a_photo_or_an_invalid_image_error(name):
    random = np.random.default_rng(SEEDS.index(name))
    source = GOOD[name][0]
    for attempt in range(60):
        data = bytearray(source)
        if attempt % 3 == 0:
            del data[random.integers(1, len(data)) :]
        else:
            # Half of them in the header, where they matter most.
            end = min(700, len(data)) if attempt % 3 == 1 else len(data)
            for _ in range(random.integers(1, 5)):
                data[random.integers(end)] = random.choice([0, 0xFF, random.integers(256)])
        try:
            photo = decode(bytes(data), BYTES, PIXELS)
        except InvalidImageError:
            continue
        assert photo.dtype == np.uint8
        assert photo.ndim == 3
        assert photo.shape[2] == 3
        assert photo.size > 0


@pytest.mark.parametrize("name", [name for name in SEEDS if name not in ("mpo", "heic", "avif")])
def test_a_truncated_photo_is_never_decoded_in_part(name):
    data = GOOD[name][0]

    for length in np.linspace(1, len(data) - 40, 12).astype(int):
        with pytest.raises(InvalidImageError):
            decode(data[:length], BYTES, PIXELS)
