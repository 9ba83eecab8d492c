"""Photos as base64 in all its variants, and as data URLs."""

import base64
import textwrap

import images
import numpy as np
import pytest

from aurum.imaging.decoding.decode import accept, decode
from aurum.imaging.decoding.limits import Limits
from aurum.imaging.decoding.refusal import InvalidImageError

BYTES, PIXELS = 10_000_000, 50_000_000
GOOD = images.good()
NAMES = ["jpeg", "jpeg orientation 6", "png", "webp", "astronaut", "heic", "avif"]


def lines(text, length, end):
    return end.join(textwrap.wrap(text.decode(), length)).encode()


SPELLINGS = {
    "plain": lambda text: text,
    "lines of 76": lambda text: lines(text, 76, "\r\n") + b"\r\n",
    "lines of 64": lambda text: lines(text, 64, "\n") + b"\n",
    "lines of one character": lambda text: lines(text[:300], 1, "\n") + text[300:],
    "without padding": lambda text: text.rstrip(b"="),
    "too much padding": lambda text: text + b"==",
    "between blanks": lambda text: b" \t\r\n" + text + b" \n\n",
    "of URLs": lambda text: text.translate(bytes.maketrans(b"+/", b"-_")),
    "of URLs without padding": lambda text: text.translate(bytes.maketrans(b"+/", b"-_")).rstrip(
        b"="
    ),
    "data URL": lambda text: b"data:image/jpeg;base64," + text,
    "data URL of another type": lambda text: b"data:image/x-odd;base64," + text,
    "data URL of any type": lambda text: b"data:application/octet-stream;base64," + text,
    "data URL without a type": lambda text: b"data:;base64," + text,
    "data URL with parameters": lambda text: b"data:image/jpeg;name=a.jpg;base64," + text,
    "data URL in capitals": lambda text: b"DATA:IMAGE/JPEG;BASE64," + text,
    "data URL in lines": lambda text: b"\n data:image/jpeg; base64 ,\n" + lines(text, 76, "\n"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", NAMES)
def test_base64_is_decoded(name, spelling):
    data, _ = GOOD[name]

    photo = decode(SPELLINGS[spelling](base64.b64encode(data)), len(data), PIXELS)

    assert np.array_equal(photo, decode(data, BYTES, PIXELS))


GIF = base64.b64encode(b"GIF89a" + bytes(100))


@pytest.mark.parametrize(
    ("text", "reason", "pattern"),
    [
        (b"/9j/4AAQ!!", "bad_base64", "damaged base64"),
        (b"/9j/4AAQS", "bad_base64", "damaged base64"),
        (b"/9j/\xff\xfe\xfd\xfc", "bad_base64", "damaged base64"),
        (b"/9j/4AAQ=SkZJ", "bad_base64", "damaged base64"),
        (b"/9j/4AAQ", "damaged", "corrupt or truncated"),
        (GIF, "other_format", "GIF images are not supported"),
        (lines(GIF, 76, "\n"), "other_format", "GIF images are not supported"),
        (base64.b64encode(b"%PDF-1.7 and more"), "other_format", "PDF images are not supported"),
        (base64.b64encode(b"this is no photo, but text" * 9), "not_an_image", "not an image"),
        (b"a word of base64's alphabet alone", "not_an_image", "not an image"),
        (b"word", "not_an_image", "not an image"),
        (b"   ", "not_an_image", "not an image"),
        (b"data:image/png,hello", "bad_base64", "the data URL is not base64"),
        (b"data:image/png", "bad_base64", "the data URL is not base64"),
        (b"data:base64,aaaa", "bad_base64", "the data URL is not base64"),
        (b"data:image/png;" + b"x" * 5000 + b";base64,", "bad_base64", "is not base64"),
        (b"data:image/png;base64,", "not_an_image", "not an image"),
        (b"data:image/png;base64,@@@@", "bad_base64", "damaged base64"),
        (b"data:image/gif;base64," + GIF, "other_format", "GIF images are not supported"),
        (b"data:,;base64," + GIF, "bad_base64", "the data URL is not base64"),
        (base64.b64encode(base64.b64encode(GOOD["jpeg"][0])), "not_an_image", "not an image"),
    ],
)
def test_invalid_text_is_named(text, reason, pattern):
    with pytest.raises(InvalidImageError, match=pattern) as caught:
        decode(text, BYTES, PIXELS)

    assert caught.value.reason == reason


def test_the_limit_counts_the_decoded_bytes():
    data, _ = GOOD["jpeg"]
    text = SPELLINGS["lines of 76"](base64.b64encode(data))

    assert decode(text, len(data), PIXELS).size > 0
    for limit in (len(data) - 1, len(data) - 50):
        with pytest.raises(InvalidImageError, match="AURUM_MAX_IMAGE_BYTES"):
            decode(text, limit, PIXELS)


def test_base64_has_its_own_limit_and_its_error_suggests_binary():
    data, _ = GOOD["jpeg"]
    limits = Limits(BYTES, len(data) - 1, PIXELS, PIXELS, memory=10**9, seconds=60, heic=True)

    assert accept(data, limits).data == data
    for spelling in ("plain", "lines of 76", "data URL"):
        with pytest.raises(InvalidImageError) as caught:
            accept(SPELLINGS[spelling](base64.b64encode(data)), limits)
        assert caught.value.reason == "too_many_bytes"
        assert str(caught.value) == (
            f"the image has {len(data)} bytes; at most {len(data) - 1} are allowed as base64 "
            f"(AURUM_MAX_BASE64_BYTES): send larger ones in binary, with at most {BYTES}"
        )


def test_a_binary_photo_is_never_mistaken_for_text():
    """All bytes are letters of base64, except for the zeros of a length."""
    for name in NAMES:
        data = GOOD[name][0]
        limits = Limits(BYTES, 1, PIXELS, PIXELS, memory=10**9, seconds=60, heic=True)
        assert accept(data, limits).decode().pixels.size
