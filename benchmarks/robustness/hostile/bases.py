"""Small valid photos of one face in every format, which the generators damage."""

from __future__ import annotations

import io
from functools import cache
from random import Random

import pillow_heif
from PIL import Image

from aurum.paths import PHOTO

HEAD = (110, 10, 330, 230)  # the face in aurum/assets/astronaut.jpg, pixels
SIZE = (160, 144)  # not square; small, so that decoding is cheap


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """Encode `image` in PIL's format `kind`."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def _photo() -> Image.Image:
    return Image.open(PHOTO).convert("RGB").crop(HEAD).resize(SIZE)


def photo() -> Image.Image:
    """Return an RGB photo of SIZE pixels with one face."""
    return (
        _photo().copy()
    )  # PIL stores an encoder's options in the image, so threads can't share it


@cache
def jpegs() -> tuple[bytes, ...]:
    """Baseline, progressive, gray, CMYK, with restart markers, with a thumbnail; small."""
    image = photo()
    exif = _exif(6)
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


def _clear(image: Image.Image) -> Image.Image:
    """Return the image, half transparent."""
    clear = image.convert("RGBA")
    clear.putalpha(128)
    return clear


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@cache
def webps() -> tuple[bytes, ...]:
    """Lossy, lossless, with alpha, with EXIF, animated."""
    image = photo()
    small = image.resize((48, 40))
    exif = _exif(3)
    return (
        encode(image, "WEBP", quality=80),
        encode(image, "WEBP", lossless=True),
        encode(_clear(image), "WEBP", quality=80),
        encode(image, "WEBP", quality=80, exif=exif.tobytes()),
        encode(small, "WEBP", save_all=True, append_images=[small.rotate(90)]),
    )


@cache
def heics() -> tuple[bytes, ...]:
    """4:2:0, 4:4:4, gray, with alpha, of 10 bits, turned, in tiles."""
    image = photo()
    exif = _exif(6)
    deep = bytes(byte for value in image.tobytes() for byte in (value, value))
    of = pillow_heif.from_pillow
    return (
        _heic(of(image)),
        _heic(of(image), chroma=444),
        _heic(of(image.convert("L"))),
        _heic(of(_clear(image))),
        _heic(pillow_heif.from_bytes("RGB;16", image.size, deep)),
        _heic(of(image), exif=exif.tobytes()),
        _heic(of(image), tile_size=64),
    )


def _heic(file: pillow_heif.HeifFile, **options: object) -> bytes:
    buffer = io.BytesIO()
    # One thread: with several, the bits depend on timing.
    one = {"x265:pools": "none", "x265:frame-threads": "1"}
    file.save(buffer, quality=70, enc_params=one, **options)
    return buffer.getvalue()


@cache
def avifs() -> tuple[bytes, ...]:
    """4:2:0, 4:4:4, gray, with alpha, turned, animated."""
    image = photo()
    small = image.resize((48, 40))
    exif = _exif(6)
    return (
        _avif(image, quality=70),
        _avif(image, quality=70, subsampling="4:4:4"),
        _avif(image.convert("L"), quality=70),
        _avif(_clear(image), quality=70),
        _avif(image, quality=70, exif=exif.tobytes()),
        _without_times(_avif(small, save_all=True, append_images=[small.rotate(90)])),
    )


def _avif(image: Image.Image, **options: object) -> bytes:
    return encode(image, "AVIF", max_threads=1, **options)  # one thread, as for HEIC


def _without_times(data: bytes) -> bytes:
    """Remove the times of a sequence, to make it reproducible (ISO/IEC 14496-12, 8.2.2)."""
    changed = bytearray(data)
    for name in (b"mvhd", b"tkhd", b"mdhd"):
        at = data.index(name) + 4
        changed[at + 4 : at + 20] = bytes(16)  # created and modified, of version 1
    return bytes(changed)


def any_photo(random: Random) -> bytes:
    """Return one of all these photos."""
    return random.choice(jpegs() + pngs() + webps() + heics() + avifs())
