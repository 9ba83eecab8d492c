"""Extracting the picture from its file: which parts are kept, and what counts as damage."""

import images
import numpy as np
import pytest
from PIL import Image

from aurum.imaging.decoding import exif, jpeg, png, webp
from aurum.imaging.decoding.decode import decode
from aurum.imaging.decoding.refusal import InvalidImageError
from benchmarks.robustness.hostile.image_bytes import chunk, segment
from benchmarks.robustness.hostile.metadata import directory

BYTES, PIXELS = 10_000_000, 50_000_000
GOOD = images.good()


def reason(data):
    with pytest.raises(InvalidImageError) as caught:
        decode(data, BYTES, PIXELS)
    return caught.value.reason


def same(data, name):
    return np.array_equal(decode(data, BYTES, PIXELS), decode(GOOD[name][0], BYTES, PIXELS))


# --- JPEG ---


@pytest.mark.parametrize("name", ["jpeg", "jpeg cmyk", "jpeg rgb", "jpeg progressive", "jpeg gray"])
def test_a_jpeg_keeps_only_what_its_pixels_need(name):
    data = GOOD[name][0]
    extra = segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(500)) + segment(0xFE, b"a comment")

    found = jpeg.read(data[:2] + extra + b"\xff\xff" + data[2:])

    assert b"ICC_PROFILE" not in found.picture
    assert len(found.picture) <= len(data)
    assert same(data[:2] + extra + data[2:], name)


def test_a_jpeg_without_metadata_is_not_copied():
    data = images.jpeg(64, 64)

    assert jpeg.read(data).picture is data


# --- PNG ---


@pytest.mark.parametrize(
    "extra",
    [chunk(b"IHDR", GOOD["png"][0][16:29]), chunk(b"ABCD", b"has to be understood")],
)
def test_a_png_with_a_wrong_header_or_an_unknown_critical_chunk_is_damaged(extra):
    data = GOOD["png"][0]

    assert reason(data[:33] + extra + data[33:]) == "damaged"


def test_ancillary_chunks_are_dropped_even_if_damaged():
    data = GOOD["png palette transparent"][0]
    extra = chunk(b"tEXt", b"a\0b")[:-4] + b"none" + chunk(b"abCd", b"?")

    assert extra not in png.read(data[:33] + extra + data[33:]).picture
    assert same(data[:33] + extra + data[33:], "png palette transparent")


# --- WebP ---


def animation(count):
    """An animated WebP of `count` frames."""
    image = Image.fromarray(images.photo())
    frames = [image.rotate(90 * turn) for turn in range(1, count)]
    return images.save(image, "WEBP", save_all=True, append_images=frames, quality=90)


def one_frame(data):
    """An animation of one frame, as some programs write still pictures."""
    width, height = images.WIDTH, images.HEIGHT
    sides = b"".join((side - 1).to_bytes(3, "little") for side in (width, height))

    def part(name, payload):
        return name + len(payload).to_bytes(4, "little") + payload + bytes(len(payload) & 1)

    chunks = (
        part(b"VP8X", b"\x02\0\0\0" + sides)
        + part(b"ANIM", bytes(6))
        + part(b"ANMF", bytes(6) + sides + bytes(4) + data[12:])
    )
    return b"RIFF" + (len(chunks) + 4).to_bytes(4, "little") + b"WEBP" + chunks


@pytest.mark.parametrize("name", ["webp", "webp lossless"])
def test_an_animation_of_one_frame_is_a_photo(name):
    assert same(one_frame(GOOD[name][0]), name)


def test_an_animation_of_several_frames_is_refused():
    assert webp.read(animation(2)).frames == 2
    assert reason(animation(2)) == "animated"


def test_a_frame_of_another_size_than_the_canvas_is_damage():
    data = bytearray(GOOD["webp orientation 6"][0])
    assert data[12:16] == b"VP8X"
    data[24] ^= 1

    assert reason(bytes(data)) == "damaged"


def test_a_webp_of_very_many_chunks_is_damaged():
    data = GOOD["webp orientation 6"][0]
    many = (b"XMP " + bytes(4)) * webp.MAX_CHUNKS

    assert reason(data + many) == "damaged"


# --- EXIF ---


@pytest.mark.parametrize("value", range(1, 9))
def test_the_orientation_is_read_with_and_without_the_exif_prefix(value):
    block = images.exif(value)

    assert exif.orientation(block) == exif.orientation(block[6:]) == value


def test_both_byte_orders_are_read():
    assert exif.orientation(b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0") == 6
    assert exif.orientation(b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0") == 6


@pytest.mark.parametrize(
    "block",
    [b"", b"Exif\0\0", b"II*\0", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff",
     b"Exif\0\0" * 9, images.exif(0), images.exif(9), images.exif(65535), directory(60_000),
     images.exif(6)[:-12]],
)  # fmt: skip
def test_an_unreadable_orientation_means_upright(block):
    assert exif.orientation(block) == 1
