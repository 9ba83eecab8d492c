"""Small photos of one face in every format, which the generators damage; made once."""

from __future__ import annotations

import io
from functools import cache
from random import Random

from PIL import Image

from aurum.models.prove import PHOTO

HEAD = (110, 10, 330, 230)  # the face in aurum/assets/astronaut.jpg, pixels
SIZE = (160, 144)  # not square; small, so that what decodes costs little


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """`image` as a file of PIL's format `kind`."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def photo() -> Image.Image:
    """RGB, of SIZE pixels, with one face."""
    return Image.open(PHOTO).convert("RGB").crop(HEAD).resize(SIZE)


@cache
def jpegs() -> tuple[bytes, ...]:
    """Baseline, progressive, gray, CMYK, with restart markers, with a thumbnail; small."""
    image = photo()
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [image.resize((64, 64))]
    return (
        encode(image, "JPEG", quality=80),
        encode(image, "JPEG", quality=80, progressive=True),
        encode(image.convert("L"), "JPEG", quality=80),
        encode(image.convert("CMYK"), "JPEG", quality=80),
        encode(image, "JPEG", quality=80, restart_marker_blocks=4),
        encode(image, "JPEG", quality=80, subsampling=0, exif=exif),
        encode(image, "MPO", quality=80, save_all=True, append_images=frames),
    )


@cache
def pngs() -> tuple[bytes, ...]:
    """RGB, gray, palette, alpha, 16-bit, one bit, animated."""
    image = photo()
    small = image.resize((48, 40))
    frames = [small.rotate(angle) for angle in (90, 180)]
    return (
        encode(image, "PNG"),
        encode(image.convert("L"), "PNG"),
        encode(image.quantize(64), "PNG", transparency=0),
        encode(image.convert("RGBA"), "PNG"),
        encode(image.convert("L").convert("I;16"), "PNG"),
        encode(image.convert("1"), "PNG"),
        encode(small, "PNG", save_all=True, append_images=frames),
    )


@cache
def webps() -> tuple[bytes, ...]:
    """Lossy, lossless, with alpha, with EXIF, animated."""
    image = photo()
    small = image.resize((48, 40))
    clear = image.convert("RGBA")
    clear.putalpha(128)
    exif = Image.Exif()
    exif[0x0112] = 3
    return (
        encode(image, "WEBP", quality=80),
        encode(image, "WEBP", lossless=True),
        encode(clear, "WEBP", quality=80),
        encode(image, "WEBP", quality=80, exif=exif.tobytes()),
        encode(small, "WEBP", save_all=True, append_images=[small.rotate(90)]),
    )


def any_photo(random: Random) -> bytes:
    """One of all of these."""
    return random.choice(jpegs() + pngs() + webps())
