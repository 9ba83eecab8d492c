"""How incomplete a JPEG may be, and how much memory a photo may take."""

import images
import numpy as np
import pytest
from PIL import Image

from aurum.imaging.decoding import jpeg, png
from aurum.imaging.decoding.decode import FACTORS, accept, decode
from aurum.imaging.decoding.limits import Limits
from aurum.imaging.decoding.refusal import InvalidImageError
from benchmarks.robustness.hostile.image_bytes import (
    blank_jpeg,
    chunk,
    many_scans,
    segment,
    with_size,
)

BYTES, PIXELS = 10_000_000, 50_000_000
LIMITS = Limits(BYTES, BYTES, PIXELS, 110_000_000, memory=500_000_000, seconds=60, heic=True)
GOOD = images.good()


def refusal(data, limits=LIMITS):
    with pytest.raises(InvalidImageError) as caught:
        accept(data, limits).decode()
    return caught.value


# --- a missing end marker ---

JPEGS = ("jpeg", "jpeg progressive", "jpeg cmyk", "jpeg gray", "jpeg restarts", "jpeg 411")


@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_may_lack_its_end_marker_and_nothing_more(name):
    data = GOOD[name][0]
    assert data.endswith(jpeg.END)

    assert np.array_equal(decode(data[:-2], BYTES, PIXELS), decode(data, BYTES, PIXELS))
    for length in (*range(3, 40), *range(40, 2000, 53)):
        assert refusal(data[:-length]).reason == "damaged", length


@pytest.mark.parametrize("name", JPEGS)
def test_a_reduced_jpeg_may_lack_its_end_marker_too(name):
    data = GOOD[name][0]

    smaller = accept(data[:-2], LIMITS).decode(4)

    assert smaller.factor == 4
    assert np.array_equal(smaller.pixels, accept(data, LIMITS).decode(4).pixels)
    with pytest.raises(InvalidImageError):
        accept(data[:-3], LIMITS).decode(4)


def scans(data):
    """Find where the scans of a JPEG begin."""
    return [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]


def test_a_progressive_jpeg_that_ends_between_two_scans_is_damaged():
    data = GOOD["jpeg progressive"][0]
    starts = scans(data)
    assert len(starts) > 5

    for start in starts[1:]:
        assert refusal(data[:start]).reason == "damaged"
        # With an end marker it is complete, as far as anybody can know.
        assert decode(data[:start] + jpeg.END, BYTES, PIXELS).shape == (256, 320, 3)


def test_a_baseline_jpeg_in_several_scans_needs_all_of_them():
    data = in_scans(GOOD["jpeg 444"][0])
    assert decode(data, BYTES, PIXELS).shape == (256, 320, 3)
    assert np.array_equal(decode(data[:-2], BYTES, PIXELS), decode(data, BYTES, PIXELS))
    for start in scans(data)[1:]:
        assert refusal(data[:start]).reason == "damaged"


def in_scans(_):
    """A blank JPEG with a scan for each of its three components."""
    whole = blank_jpeg(320, 256, (0x11, 0x11, 0x11))
    head = whole[: whole.index(b"\xff\xda")]
    packed = bytes(-(-(320 // 8) * (256 // 8) * 2 // 8))
    parts = b"".join(
        segment(0xDA, bytes([1, number, 0, 0, 63, 0])) + packed for number in (1, 2, 3)
    )
    return head + parts + jpeg.END


def test_a_jpeg_without_any_scan_data_is_damaged():
    data = GOOD["jpeg"][0]

    assert refusal(data[: images.entropy(data)]).reason == "damaged"
    assert not jpeg.lacks_only_end_marker(data)
    assert not jpeg.lacks_only_end_marker(b"\xff\xd8\xff")


# --- PNG ---


def test_a_png_of_very_many_chunks_is_refused():
    data = GOOD["png"][0]
    few, many = (chunk(b"tEXt", b"a\0b") * count for count in (1000, png.MAX_CHUNKS))

    assert decode(data[:-12] + few + data[-12:], BYTES, PIXELS).size
    assert refusal(data[:-12] + many + data[-12:]).reason == "damaged"


def test_invalid_exif_leaves_a_png_unchanged():
    data = GOOD["png"][0]
    plain = decode(data, BYTES, PIXELS)
    for extra in (
        chunk(b"eXIf", b"nothing"),
        chunk(b"zTXt", b"Raw profile type exif\0\0nothing"),
        chunk(b"tEXt", b"Raw profile type exif\0\nexif\n  4\nzzzz"),
        chunk(b"tEXt", b"Comment\0" + images.exif(6)),
        chunk(b"eXIf", bytes(70_000)),
    ):
        assert np.array_equal(decode(data[:-12] + extra + data[-12:], BYTES, PIXELS), plain)


# --- memory ---


def progressive(width, height, *, colour=True):
    sampling = 0 if colour else 2
    small = Image.fromarray(images.photo())
    data = images.save(small, "JPEG", progressive=True, subsampling=sampling)
    return with_size(data, width, height)


def test_a_108_megapixel_jpeg_is_decoded_as_large_as_memory_allows():
    baseline = with_size(GOOD["jpeg"][0], 12_000, 9000)

    assert accept(baseline, LIMITS).finest == 1  # 324 MB of RGB
    turned = with_size(GOOD["jpeg orientation 6"][0], 12_000, 9000)
    assert accept(turned, LIMITS).finest == 2  # plus a copy for the rotation
    assert accept(progressive(12_000, 9000, colour=False), LIMITS).finest == 2  # coefficients
    assert accept(baseline, LIMITS._replace(memory=100_000_000)).finest == 2
    assert accept(baseline, LIMITS._replace(memory=10_000_000)).finest == 8


def test_a_photo_that_takes_too_much_at_any_size_is_refused_with_the_figures():
    error = refusal(progressive(12_000, 9000))

    assert error.reason == "too_much_memory"
    assert str(error) == (
        "the JPEG image of 12000x9000 pixels takes 653062500 bytes of memory to be decoded, even "
        "at 1/8 of its size; at most 500000000 are allowed (AURUM_MAX_PHOTO_MEMORY)"
    )


@pytest.mark.parametrize(("name", "each"), [("png", 6.25), ("webp", 8.25), ("avif", 12.75)])
def test_other_formats_must_fit_in_full(name, each):
    data = GOOD[name][0]
    need = int(320 * 256 * each)

    assert accept(data, LIMITS._replace(memory=need)).decode().factor == 1
    error = refusal(data, LIMITS._replace(memory=need - 1))
    assert error.reason == "too_much_memory"
    assert f"takes {need} bytes of memory to be decoded; at most {need - 1}" in str(error)


def test_a_second_finer_decoding_is_as_fine_as_memory_allows():
    data = images.jpeg(1600, 1200)
    encoded = accept(data, LIMITS._replace(memory=800 * 600 * 3))

    assert encoded.finest == 2
    for factor in FACTORS:
        assert encoded.decode(factor).factor == max(factor, 2)
    assert encoded.size == (1600, 1200)


def test_jpegs_that_only_pillow_reads_are_reduced_where_they_take_more():
    odd = blank_jpeg(1600, 1200, (0x31, 0x11, 0x11))

    photo = accept(odd, LIMITS._replace(memory=1600 * 1200 * 3)).decode()

    assert photo.factor == 2
    assert photo.pixels.shape == (600, 800, 3)
    with pytest.raises(InvalidImageError, match="AURUM_MAX_PHOTO_MEMORY"):
        accept(odd, LIMITS._replace(memory=200 * 150 * 3)).decode()


def test_the_coefficients_of_all_scans_are_counted():
    assert jpeg.read(GOOD["jpeg"][0]).frame.coefficients == 0
    frame = jpeg.read(GOOD["jpeg 444"][0]).frame
    assert frame._replace(interleaved=False).coefficients == 320 * 256 * 6
    frame = jpeg.read(many_scans(64, 64, 3)).frame
    assert frame.coefficients == 64 * 64 * 2
    whole = jpeg.read(GOOD["jpeg progressive"][0]).frame
    assert whole.size == (320, 256)
    assert whole.coefficients == 320 * 256 * 3


def test_a_jpeg_of_very_many_segments_is_refused():
    data = GOOD["jpeg"][0]
    many = segment(0xFE, b"") * jpeg.MAX_SEGMENTS

    assert refusal(data[:2] + many + data[2:]).reason == "damaged"
