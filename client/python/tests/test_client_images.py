"""The forms of an image: paths, bytes, files, arrays, PIL images, base64 and data URLs."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
import traceback
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from aurum_client import errors, images
from aurum_client._png import gray_png
from aurum_client.images import read_image
from PIL import Image

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (37, 53, 3), np.uint8)  # R, G, B


def jpeg(**options) -> bytes:
    data = io.BytesIO()
    Image.fromarray(PIXELS).save(data, "JPEG", **options)
    return data.getvalue()


def pixels_of(data: bytes) -> np.ndarray:
    """Decode a PNG with two libraries that are not ours; R, G, B."""
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), 1)[..., ::-1], pixels)
    return pixels


def test_an_image_is_a_path_or_bytes_or_a_file(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"jpeg")
    with path.open("rb") as file:
        given = [path, str(path), b"jpeg", bytearray(b"jpeg"), memoryview(b"jpeg"), file]
        assert [read_image(image) for image in given] == [b"jpeg"] * 6
    assert read_image(io.BytesIO(b"jpeg")) == b"jpeg"


def test_an_unreadable_image_is_named(tmp_path):
    missing = tmp_path / "missing.jpg"
    with pytest.raises(errors.InvalidImageError, match=r"missing\.jpg") as caught:
        read_image(missing)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    closed = io.BytesIO(b"x")
    closed.close()
    for image in (tmp_path, "a\0b", io.StringIO("text"), closed, 7, None):
        with pytest.raises(errors.InvalidImageError):
            read_image(image)


def test_the_probe_is_a_valid_png():
    png = gray_png(4)
    assert png.startswith(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x04\x00\x00\x00\x04")
    start = png.index(b"IDAT")
    size = int.from_bytes(png[start - 4 : start], "big")
    assert zlib.decompress(png[start + 4 : start + 4 + size]) == (b"\0" + b"\x80" * 4) * 4


@pytest.mark.parametrize(
    "pixels",
    [
        *(PIXELS, PIXELS[..., ::-1], PIXELS[::2, ::-3], np.asfortranarray(PIXELS)),
        *(PIXELS[:1, :1], PIXELS[:1], PIXELS[:, :1], np.zeros((64, 48, 3), np.uint8)),
    ],
)
def test_an_array_is_encoded_without_loss(pixels):
    data = read_image(pixels)
    assert data.startswith(b"\x89PNG")
    np.testing.assert_array_equal(pixels_of(data), pixels)


def test_a_read_only_array_and_a_subclass_are_taken():
    frozen = PIXELS.copy()
    frozen.flags.writeable = False
    for array in (frozen, frozen.view(np.memmap), np.ma.masked_array(PIXELS)):
        np.testing.assert_array_equal(pixels_of(read_image(array)), PIXELS)


@pytest.mark.parametrize("column", [False, True])
def test_the_array_of_imencode_is_an_encoded_file(column):
    encoded = cv2.imencode(".jpg", PIXELS)[1]
    assert encoded.ndim == 1
    given = encoded[:, np.newaxis] if column else encoded  # old versions of OpenCV return columns
    assert read_image(given) == encoded.tobytes()


@pytest.mark.parametrize(
    "array",
    [
        *(PIXELS.astype(np.float32), PIXELS.astype(np.int64), PIXELS[..., 0], PIXELS[..., :2]),
        *(np.zeros((8, 8, 4), np.uint8), PIXELS[np.newaxis], np.zeros((0, 8, 3), np.uint8)),
        *(np.zeros(0, np.uint8), np.zeros((), np.uint8), np.array(["a"]), np.array([None])),
        np.zeros((3, 8, 8), np.uint8),
    ],
)
def test_another_array_is_refused_with_its_dtype_and_shape(array):
    with pytest.raises(errors.InvalidImageError) as caught:
        read_image(array)
    assert f"not {array.dtype} of shape {array.shape}" in str(caught.value)
    assert "uint8 of shape (height, width, 3) with the channels R, G, B" in str(caught.value)


def test_an_endless_array_is_refused():
    huge = np.broadcast_to(np.zeros(3, np.uint8), (20_000, 20_000, 3))
    with pytest.raises(errors.InvalidImageError, match="20000x20000"):
        read_image(huge)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "YCbCr"])
def test_a_pil_image_has_the_pixels_that_pil_shows(mode):
    image = Image.fromarray(PIXELS).convert(mode)
    np.testing.assert_array_equal(pixels_of(read_image(image)), np.asarray(image.convert("RGB")))


def test_a_pil_image_is_rotated_by_its_exif_orientation():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown rotated clockwise by 90 degrees
    data = jpeg(exif=exif, quality=100)
    stored = np.asarray(Image.open(io.BytesIO(data)))
    given = pixels_of(read_image(Image.open(io.BytesIO(data))))
    np.testing.assert_array_equal(given, np.rot90(stored, -1))


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_a_pil_image_of_more_than_8_bits_is_refused(mode):
    with pytest.raises(errors.InvalidImageError, match=f"8 bits per channel, not the mode {mode}"):
        read_image(Image.new(mode, (4, 4)))


def test_a_damaged_pil_image_is_refused():
    with pytest.raises(errors.InvalidImageError, match="cannot read the PIL image"):
        read_image(Image.open(io.BytesIO(jpeg()[:-400])))


def test_pil_is_not_needed():
    code = (
        "import sys; sys.modules['PIL'] = None; from aurum_client.images import read_image; "
        "import numpy; print(len(read_image(numpy.zeros((2, 2, 3), numpy.uint8)))); read_image(7)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert int(done.stdout) > 0
    assert "InvalidImageError: an image must be a path" in done.stderr


def webp() -> bytes:
    return cv2.imencode(".webp", PIXELS)[1].tobytes()


def avif() -> bytes:
    data = io.BytesIO()
    Image.fromarray(PIXELS).save(data, "AVIF")
    return data.getvalue()


KINDS = {"jpeg": jpeg(), "png": read_image(PIXELS), "webp": webp(), "avif": avif()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["plain", "lines", "url-safe", "no padding", "blanks around"])
def test_base64_is_told_from_a_path(kind, form, tmp_path, monkeypatch):
    data = KINDS[kind]
    text = {
        "plain": base64.b64encode(data).decode(),
        "lines": base64.encodebytes(data).decode().replace("\n", "\r\n"),
        "url-safe": base64.urlsafe_b64encode(data).decode(),
        "no padding": base64.b64encode(data).decode().rstrip("="),
        "blanks around": f" \n{base64.b64encode(data).decode()} ",
    }[form]
    assert read_image(text) == data
    for head in ("data:image/jpeg;base64,", "DATA:;Base64,", "data:image/png;name=a;base64,"):
        assert read_image(head + text) == data


def test_a_path_that_looks_like_base64_stays_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [
        "iVBORw0KGgoAAAANSUhEUg",
        "UklGR" + "A" * 80 + ".webp",
        "AAAA",
        "A" * 80,
        "data",
        "http",
    ]
    for name in names:
        Path(name).write_bytes(name.encode())
        assert read_image(name) == name.encode()
    folder = Path("iVBORw0KGgo")
    folder.mkdir()
    (folder / ("a" * 90 + ".png")).write_bytes(b"in a folder")
    assert read_image(f"{folder}/{'a' * 90}.png") == b"in a folder"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http://example.org/a.jpg", "^http addresses are not fetched"),
        (" HTTPS://example.org/a.jpg", "^https addresses are not fetched"),
        ("s3://bucket/a.jpg", "^s3 addresses are not fetched"),
        ("file:///a.jpg", "^file addresses are not fetched"),
        ("data:image/jpeg,abc", "the data URL is not base64"),
        ("data:image/jpeg;base64,/9j/4", "the data URL is damaged"),
        ("data:image/jpeg;base64,/9j/*%ä", "the data URL is damaged"),
        ("", "cannot read the image '': No such file"),
        ("missing.jpg", "cannot read the image 'missing.jpg': No such file or directory$"),
    ],
)
def test_text_that_is_no_image_is_refused_with_the_reason(text, message):
    with pytest.raises(errors.InvalidImageError, match=message):
        read_image(text)


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(RNG.bytes(150_000)).decode(),  # base64 of no image
        base64.b64encode(jpeg()).decode() * 200 + "*",
        "data:image/jpeg;base64," + "/9j/4" * 40_000 + "*",
        "http://" + "a" * 200_000,
        "data:" + "x" * 200_000,
        "\udcff" * 200_000,
    ],
)
def test_no_photo_is_echoed(text):
    with pytest.raises(errors.InvalidImageError) as caught:
        read_image(text)
    assert len(str(caught.value)) < 250
    assert all(len(line) < 1000 for line in traceback.format_exception(caught.value))


def test_damaged_base64_is_named_as_such():
    with pytest.raises(errors.InvalidImageError, match="as base64, it is damaged or of no image"):
        read_image(base64.b64encode(jpeg() * 10).decode() + "*")


def test_an_endless_file_is_refused(monkeypatch):
    monkeypatch.setattr(images, "MAX_BYTES", 1000)
    with pytest.raises(errors.InvalidImageError, match="'/dev/zero' has more than 1000 bytes"):
        read_image("/dev/zero")


def test_paths_may_be_bytes_of_another_encoding(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff.jpg"
    Path(os.fsdecode(path)).write_bytes(b"jpeg")
    assert read_image(os.fsdecode(path)) == read_image(Path(os.fsdecode(path))) == b"jpeg"
