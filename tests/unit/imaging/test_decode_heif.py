"""HEIC and AVIF: reading their headers, and the limits that hold when a header lies."""

import struct

import images
import numpy as np
import pytest
from PIL import Image

from aurum.imaging.decoding import heif, isolated
from aurum.imaging.decoding.decode import accept, decode
from aurum.imaging.decoding.limits import Limits
from aurum.imaging.decoding.refusal import InvalidImageError
from benchmarks.robustness.hostile import bases
from benchmarks.robustness.hostile import heif as hostile
from benchmarks.robustness.hostile.image_bytes import with_size

LIMITS = Limits(
    10_000_000, 10_000_000, 50_000_000, 50_000_000, memory=500_000_000, seconds=60, heic=True
)
GOOD = images.good()
KINDS = ("heic", "avif")


def refusal(data, limits=LIMITS):
    with pytest.raises(InvalidImageError) as caught:
        accept(data, limits).decode()
    return caught.value


@pytest.mark.parametrize("name", [name for name in GOOD if name.startswith(KINDS)])
def test_the_header_gives_size_and_rotation(name):
    data, size = GOOD[name]

    found = heif.header(data)

    assert found.size == size
    assert found.kind == name[:4].upper()
    if "orientation" in name:
        assert found.orientation == int(name[-1])


@pytest.mark.parametrize(
    ("name", "samples"),
    [("heic", 1.5), ("heic gray", 1), ("heic 4:4:4", 3), ("heic 10-bit", 3), ("heic tiles", 1.5),
     ("avif", 1.5), ("avif gray", 1), ("avif 4:4:4", 3)],
)  # fmt: skip
def test_the_header_gives_the_bytes_per_pixel(name, samples):
    assert heif.header(GOOD[name][0]).samples == samples


def test_the_exif_orientation_of_a_heic_is_ignored():
    entry = struct.pack(">HHI", 0x0112, 3, 1)
    data = images.heic(Image.fromarray(images.photo()), exif=images.exif(1))
    assert data.count(entry + b"\0\1") == 1

    photo = decode(data.replace(entry + b"\0\1", entry + b"\0\6"), 10**7, 10**7)

    assert np.array_equal(photo, decode(data, 10**7, 10**7))


def test_ten_bits_are_reduced_to_eight():
    ramp = np.repeat(np.arange(0, 256, 8, dtype=np.uint8), 8)
    pixels = np.repeat(np.tile(ramp, (64, 1))[..., None], 3, axis=2)

    photo = decode(images.deep_heic(pixels, chroma=444), 10**7, 10**7)

    assert np.abs(photo.astype(int) - pixels).max() <= 6


def test_heic_can_be_switched_off():
    error = refusal(GOOD["heic"][0], LIMITS._replace(heic=False))

    assert error.reason == "other_format"
    assert "HEIC images are not accepted here (AURUM_HEIC=0)" in str(error)
    assert accept(GOOD["avif"][0], LIMITS._replace(heic=False)).decode().pixels.size


def test_without_its_decoder_heic_is_an_unsupported_format(monkeypatch):
    monkeypatch.setattr(isolated, "heic_available", lambda: False)

    assert "pi-heif is not installed" in str(refusal(GOOD["heic"][0]))


@pytest.mark.parametrize("name", ["avif sequence", "heic sequence"])
def test_sequences_are_animated(name):
    error = refusal(images.bad()[f"animated {name}"][0])

    assert error.reason == "animated"
    assert "send the one frame that is meant" in str(error)


@pytest.mark.parametrize("brand", [b"qt  ", b"isom", b"crx "])
def test_other_iso_media_files_are_named(brand):
    error = refusal(GOOD["heic"][0].replace(b"ftypheic", b"ftyp" + brand).replace(b"mif1", brand, 1)
                    .replace(b"heic", brand))  # fmt: skip

    assert error.reason == "other_format"
    assert f"files of the kind '{brand.decode().strip()}' are not supported" in str(error)


def test_unsupported_codings_are_named():
    error = refusal(GOOD["heic"][0].replace(b"hvc1", b"jpeg"))

    assert error.reason == "other_format"
    assert "HEIF images of 'jpeg' are not supported" in str(error)


@pytest.mark.parametrize("size", [(64, 48), (321, 256), (256, 320), (3200, 2560)])
def test_a_header_with_a_wrong_size_is_damage(size):
    """HEIC only; libavif scales an AVIF's picture to the size in its header."""
    assert refusal(with_size(GOOD["heic"][0], *size)).reason == "damaged"
    scaled = accept(with_size(GOOD["avif"][0], *size), LIMITS).decode().pixels
    assert scaled.shape == (*size[::-1], 3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_larger_than_its_header_says_gets_no_extra_memory(kind):
    # Some 40 MB of samples, more than a process gets for the smallest photo.
    image = Image.new("RGB", (6000, 4500), "gray")
    if kind == "heic":
        data = images.heic(image, enc_params={"preset": "ultrafast"})
    else:
        data = images.save(image, "AVIF", speed=10)

    error = refusal(with_size(data, 64, 48))

    assert error.reason in ("damaged", "too_much_memory")


def test_too_many_pixels_or_too_much_memory_are_known_from_the_header():
    data = GOOD["heic"][0]

    error = refusal(with_size(data, 20_000, 10_000))
    assert error.reason == "too_many_pixels"
    error = refusal(with_size(data, 8000, 6000), LIMITS._replace(memory=400_000_000))
    assert error.reason == "too_much_memory"
    assert "HEIC image of 8000x6000 pixels takes 444000000 bytes" in str(error)
    assert "at most 400000000 are allowed (AURUM_MAX_PHOTO_MEMORY)" in str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_photo_is_never_decoded_in_part(kind):
    data = GOOD[kind][0]

    for length in np.linspace(12, len(data) - 40, 9).astype(int):
        assert refusal(data[:length]).reason == "damaged"


def test_a_generated_grid_decodes_and_a_hostile_one_does_not():
    """The hostile requests are derived from grids that are valid by themselves."""
    sound = hostile.grid(bases.heics()[0], 2, 2)
    width, height = bases.SIZE
    assert accept(sound, LIMITS).decode().pixels.shape == (2 * height, 2 * width, 3)
    many = hostile.grid(bases.heics()[0], 60, 60)
    assert refusal(many).reason in ("damaged", "too_much_memory", "too_many_pixels")


@pytest.mark.parametrize("size", [(100, 80), (101, 79), (1, 1), (320, 288)])
def test_a_crop_of_a_heic_is_applied(size):
    clap = hostile.box(b"clap", struct.pack(">8I", size[0], 1, size[1], 1, 0, 1, 0, 1))
    data = hostile.grid(bases.heics()[0], 2, 2, properties=clap)

    encoded = accept(data, LIMITS)

    assert encoded.size == size
    assert encoded.decode().pixels.shape == (size[1], size[0], 3)
