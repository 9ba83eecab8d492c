"""Good and bad image files, made in memory from one photo; deterministic and cached."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image

import aurum
from benchmarks.robustness.hostile.image_bytes import (
    blank_jpeg,
    chunk,
    entropy,
    exif,
    many_scans,
    png_of,
    segment,
    start_of_frame,
    with_precision,
    with_size,
)

ASTRONAUT = Path(aurum.__file__).parent / "assets" / "astronaut.jpg"
# Not square, so that tests notice swapped sides.
WIDTH, HEIGHT = 320, 256
# The inverse of each EXIF orientation: how PIL turns an upright picture into a stored one.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@cache
def astronaut() -> bytes:
    """The JPEG of 512x512 pixels with one face."""
    return ASTRONAUT.read_bytes()


@cache
def photo() -> NDArray[np.uint8]:
    """RGB [256,320,3] with one face: what all but a few files of `good` show."""
    pixels = np.asarray(Image.open(io.BytesIO(astronaut())).convert("RGB"))
    part = pixels[:HEIGHT, 64 : 64 + WIDTH].copy()
    part.flags.writeable = False
    return part


def save(image: Image.Image, kind: str, **options: object) -> bytes:
    """Encode `image` in PIL's format `kind`."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def heic(image: Image.Image, **options: object) -> bytes:
    """Encode `image` as HEIC."""
    return _heif(pillow_heif.from_pillow(image), **options)


def deep_heic(pixels: NDArray[np.uint8], **options: object) -> bytes:
    """Encode RGB as 10-bit HEIC."""
    height, width = pixels.shape[:2]
    deep = (pixels.astype(np.uint16) * 257).tobytes()
    return _heif(pillow_heif.from_bytes("RGB;16", (width, height), deep), **options)


def _heif(file: pillow_heif.HeifFile, **options: object) -> bytes:
    buffer = io.BytesIO()
    file.save(buffer, quality=90, **options)
    return buffer.getvalue()


def opencv(extension: str, pixels: NDArray[np.generic], *parameters: int) -> bytes:
    """Encode `pixels` (RGB or gray) with OpenCV."""
    if pixels.ndim == 3:
        pixels = pixels[..., ::-1] if pixels.shape[2] == 3 else pixels[..., [2, 1, 0, 3]]
    done, data = cv2.imencode(extension, np.ascontiguousarray(pixels), parameters)
    assert done
    return data.tobytes()


def jpeg(width: int, height: int, seed: int = 0) -> bytes:
    """A JPEG of smooth noise in the given size."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return opencv(".jpg", cv2.resize(noise, (width, height)))


@cache
def good() -> dict[str, tuple[bytes, tuple[int, int]]]:
    """Map names to accepted files, each with the width and height of its upright photo.

    All but "astronaut" and those named "tiny", "wide", "tall" or "gray sampling" show `photo()`.
    """
    pixels = photo()
    image = Image.fromarray(pixels)
    whole = (WIDTH, HEIGHT)
    alpha = np.dstack([pixels, np.full((HEIGHT, WIDTH), 128, np.uint8)])
    gray = image.convert("L")
    plain = save(image, "JPEG", quality=92)
    turned = save(image.transpose(Image.Transpose.ROTATE_90), "PNG")
    files = {
        "jpeg": plain,
        "jpeg progressive": save(image, "JPEG", quality=92, progressive=True),
        "jpeg gray": save(gray, "JPEG", quality=92),
        "jpeg cmyk": save(image.convert("CMYK"), "JPEG", quality=92),
        "jpeg rgb": save(image, "JPEG", quality=92, keep_rgb=True),
        "jpeg restarts": opencv(".jpg", pixels, cv2.IMWRITE_JPEG_RST_INTERVAL, 3),
        "jpeg trailing bytes": plain + b"\0" * 7 + b"appended by a phone",
        "jpeg trailing jpeg": plain + save(image.resize((64, 64)), "JPEG"),
        "jpeg stray bytes": plain[:2] + segment(0xFE, b"a comment") + b"\x12\x34" + plain[2:],
        "jpeg damaged exif": save(image, "JPEG", quality=92, exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
        "jpeg orientation 99": save(image, "JPEG", quality=92, exif=exif(99)),
        "mpo": save(image, "MPO", save_all=True, append_images=[image.rotate(180)], quality=92),
        "png": save(image, "PNG"),
        "png 16-bit": opencv(".png", pixels.astype(np.uint16) * 257),
        "png gray": save(gray, "PNG"),
        "png gray 16-bit": opencv(".png", np.asarray(gray).astype(np.uint16) * 257),
        "png gray alpha": save(gray.convert("LA"), "PNG"),
        "png rgba": save(Image.fromarray(alpha), "PNG"),
        "png palette": save(image.quantize(256), "PNG"),
        "png palette transparent": save(image.quantize(256), "PNG", transparency=0),
        "png 1-bit": save(gray.convert("1"), "PNG"),
        "webp": save(image, "WEBP", quality=90),
        "webp lossless": save(image, "WEBP", lossless=True),
        "webp gray": save(gray, "WEBP", quality=90),
        "webp alpha": save(Image.fromarray(alpha), "WEBP", quality=90),
        "webp orientation 6": save(
            image.transpose(Image.Transpose.ROTATE_90), "WEBP", quality=90, exif=exif(6)
        ),
        "png orientation 8": save(image.transpose(Image.Transpose.ROTATE_270), "PNG", exif=exif(8)),
        "png orientation 6 behind": _append_chunks(turned, chunk(b"eXIf", exif(6)[6:])),
        "png orientation 6 profile": _append_chunks(turned, chunk(b"zTXt", _raw_profile(exif(6)))),
        "png orientation damaged": _append_chunks(
            save(image, "PNG"), chunk(b"eXIf", exif(6))[:-1] + b"x"
        ),
        "jpeg without its end": plain[:-2],
        "jpeg with half of its end": plain[:-1],
        "jpeg progressive without its end": save(image, "JPEG", quality=92, progressive=True)[:-2],
        "jpeg cmyk without its end": save(image.convert("CMYK"), "JPEG", quality=92)[:-2],
        "jpeg restarts without its end": opencv(".jpg", pixels, cv2.IMWRITE_JPEG_RST_INTERVAL, 3)[
            :-2
        ],
        "heic": heic(image),
        "heic gray": heic(gray),
        "heic alpha": heic(Image.fromarray(alpha)),
        "heic 4:4:4": heic(image, chroma=444),
        "heic 10-bit": deep_heic(pixels),
        "heic tiles": heic(image, tile_size=128),
        "heic two": _two_heics(image),
        "avif": save(image, "AVIF", quality=90),
        "avif gray": save(gray, "AVIF", quality=90),
        "avif alpha": save(Image.fromarray(alpha), "AVIF", quality=90),
        "avif 4:4:4": save(image, "AVIF", quality=90, subsampling="4:4:4"),
    }
    for subsampling in ("411", "420", "422", "440", "444"):
        value = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{subsampling}")
        files[f"jpeg {subsampling}"] = opencv(
            ".jpg", pixels, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, value
        )
    for orientation, way in STORED.items():
        stored = image if way is None else image.transpose(way)
        files[f"jpeg orientation {orientation}"] = save(
            stored, "JPEG", quality=92, exif=exif(orientation)
        )
        files[f"heic orientation {orientation}"] = heic(stored, exif=exif(orientation))
        files[f"avif orientation {orientation}"] = save(
            stored, "AVIF", quality=90, exif=exif(orientation)
        )
    sized = {name: (data, whole) for name, data in files.items()}
    sized["astronaut"] = (astronaut(), (512, 512))
    for kind, name in (("JPEG", "jpeg"), ("PNG", "png"), ("WEBP", "webp")):
        sized[f"tiny {name}"] = (save(image.resize((1, 1)), kind), (1, 1))
    for sampling in ((0x31, 0x11, 0x11), (0x22, 0x21, 0x12), (0x11, 0x22, 0x22)):
        name = " ".join(f"{factors:x}" for factors in sampling)
        sized[f"gray sampling {name}"] = (blank_jpeg(100, 70, sampling), (100, 70))
    sized["wide png"] = (save(image.resize((3000, 8)), "PNG"), (3000, 8))
    sized["wide jpeg"] = (save(image.resize((3000, 8)), "JPEG"), (3000, 8))
    sized["tall jpeg"] = (save(image.resize((3, 2000)), "JPEG"), (3, 2000))
    return sized


def _append_chunks(png: bytes, chunks: bytes) -> bytes:
    """Put chunks after a PNG's pixels, where ImageMagick writes EXIF."""
    return png[:-12] + chunks + png[-12:]


def _raw_profile(block: bytes) -> bytes:
    """Write EXIF as ImageMagick did before the eXIf chunk existed."""
    digits = block.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"\nexif\n{len(block):8}\n{lines}\n".encode()
    return b"Raw profile type exif\0\0" + zlib.compress(text)


def _two_heics(image: Image.Image) -> bytes:
    """A HEIC of two independent images, of which the second is the primary one."""
    file = pillow_heif.from_pillow(image.rotate(180))
    file.add_frombytes("RGB", image.size, image.tobytes())
    return _heif(file, primary_index=1)


@cache
def bad(max_bytes: int = 10_000_000, max_pixels: int = 50_000_000) -> dict[str, tuple[bytes, str]]:
    """Map names to rejected files, each with a pattern that its error message matches.

    `max_bytes` and `max_pixels` are the service's limits; `max_pixels` is below 16383 x 16383,
    the largest WebP there is.
    """
    files = {name: data for name, (data, _) in good().items()}
    random = np.random.default_rng(7)
    no_image = "the bytes are not an image; accepted are JPEG, PNG, WebP, HEIC and AVIF"
    cases: dict[str, tuple[bytes, str]] = {
        "empty": (b"", r"the image is empty \(0 bytes\)"),
        "zero byte": (b"\0", no_image),
        "random bytes": (random.bytes(4096), no_image),
        "text": (b"this is no photo\n" * 20, no_image),
        "html": (b"<!doctype html><title>404</title>", no_image),
        "zip": (b"PK\3\4" + random.bytes(200), no_image),
    }
    cases |= {
        f"other format {name}": (data, f"{name.split(',')[0]} images are not supported; accepted")
        for name, data in _other_formats().items()
    }
    cases |= {f"damaged {name}": case for name, case in _damaged(files).items()}
    image = Image.fromarray(photo()).resize((64, 48))
    frames = [image.rotate(angle) for angle in (90, 180)]
    animated = "an animated {} of 3 frames; send the one frame that is meant"
    cases |= {
        "animated webp": (
            save(image, "WEBP", save_all=True, append_images=frames, duration=100),
            animated.format("WEBP"),
        ),
        "animated png": (
            save(image, "PNG", save_all=True, append_images=frames, duration=100),
            animated.format("PNG"),
        ),
        "animated avif sequence": (
            save(image, "AVIF", save_all=True, append_images=frames, duration=100),
            r"the image is a sequence \(AVIF\); send the one frame that is meant",
        ),
        "animated heic sequence": (
            files["heic"].replace(b"ftypheic", b"ftypmsf1"),
            r"the image is a sequence \(HEIC\); send the one frame that is meant",
        ),
        "polyglot gif": (b"GIF89a" + files["jpeg"], "GIF images are not supported"),
        "polyglot text": (b"#!/bin/sh\n" + files["jpeg"], no_image),
        "too many bytes": (
            files["jpeg"] + b"\0" * (max_bytes + 1 - len(files["jpeg"])),
            rf"has {max(max_bytes + 1, len(files['jpeg']))} bytes; at most {max_bytes} are allowed",
        ),
        "too many zeros": (
            bytes(max_bytes + 1),
            f"has {max_bytes + 1} bytes; at most {max_bytes} are allowed",
        ),
    }
    return cases | _bombs(files, max_pixels)


def _other_formats() -> dict[str, bytes]:
    image = Image.fromarray(photo()).resize((32, 24))
    return {
        "GIF": save(image.convert("P"), "GIF"),
        "BMP": save(image, "BMP"),
        "TIFF": save(image, "TIFF"),
        "PDF": b"%PDF-1.7\n" + bytes(64),
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "JPEG XL": b"\xff\x0a" + bytes(64),
        "JPEG XL, in a container": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(64),
        "12-bit JPEG": with_precision(save(image, "JPEG"), 12),
        "JPEG 2000": save(image, "JPEG2000"),
        "JPEG 2000, codestream": save(image, "JPEG2000", no_jp2=True),
    }


def _damaged(files: dict[str, bytes]) -> dict[str, tuple[bytes, str]]:
    """Damaged files that a careless decoder would accept in part or crash on."""
    header = "not an image|corrupt or truncated"
    cases: dict[str, tuple[bytes, str]] = {}
    for name in (
        "jpeg", "jpeg progressive", "jpeg cmyk", "jpeg gray", "jpeg 411", "jpeg stray bytes", "png",
        "png palette", "png 16-bit", "webp", "webp lossless", "webp alpha", "heic", "heic tiles",
        "avif",
    ):  # fmt: skip
        data = files[name]
        kind = name.split()[0].upper()
        broken = f"the ({kind} )?image is corrupt or truncated"
        for share in (0.5, 0.9):
            cases[f"{name} cut at {share:.0%}"] = (data[: int(len(data) * share)], broken)
        cases[f"{name} cut in its header"] = (data[:24], header)
    jpeg, png, webp = files["jpeg"], files["png"], files["webp"]
    broken = "the {} image is corrupt or truncated and can't be decoded"
    for name in ("jpeg", "jpeg progressive", "jpeg cmyk"):
        scribbled = bytearray(files[name])
        at = entropy(files[name]) + 400
        scribbled[at : at + 600] = np.random.default_rng(11).bytes(600).replace(b"\xff", b"\xfe")
        cases[f"{name} entropy data"] = (bytes(scribbled), broken.format("JPEG"))
    idat = png.index(b"IDAT")
    crc = bytearray(png)
    crc[idat + 4 + int.from_bytes(png[idat - 4 : idat], "big")] ^= 0xFF
    data = bytearray(png)
    data[idat + 4000] ^= 0xFF
    image_header = bytearray(png)
    image_header[29] ^= 0xFF
    unpacked = png_of(b"\0" * (3 * 64 + 1) * 32, width=64, height=64)
    cases |= {
        "png crc": (bytes(crc), broken.format("PNG")),
        "png data": (bytes(data), broken.format("PNG")),
        "png header crc": (bytes(image_header), header),
        "png half the rows": (unpacked, broken.format("PNG")),
        "png only its signature": (png[:8], header),
        "jpeg only its start": (jpeg[:2], header),
        "jpeg without pixels": (jpeg[: entropy(jpeg)] + b"\xff\xd9", broken.format("JPEG")),
        "jpeg without frame": (jpeg[: start_of_frame(jpeg)] + b"\xff\xd9", header),
        "webp only its start": (webp[:12], header),
        "jpeg zero wide": (with_size(jpeg, 0, HEIGHT), header),
        "jpeg zero high": (with_size(jpeg, WIDTH, 0), header),
        "png zero wide": (with_size(png, 0, HEIGHT), header),
        "webp zero wide": (with_size(webp, 0, HEIGHT), header),
    }
    return cases


def _bombs(files: dict[str, bytes], max_pixels: int) -> dict[str, tuple[bytes, str]]:
    """Decompression bombs: small files whose headers declare more pixels than are allowed."""
    much = f"= {{}} pixels; at most {max_pixels} are allowed"
    cases = {
        f"bomb {name}": (with_size(files[name], width, height), much.format(width * height))
        for name, width, height in (
            ("jpeg", 65_500, 65_500),
            ("jpeg progressive", 65_500, 65_500),
            ("png", 100_000, 100_000),
            ("webp", 16_383, 16_383),
            ("webp lossless", 16_383, 16_383),
            ("heic", 20_000, 20_000),
            ("avif", 20_000, 20_000),
        )
    }
    cases["bomb of scans"] = (
        many_scans(2000, 2000, 800),
        "the JPEG image is corrupt or truncated and can't be decoded",
    )
    cases["bomb png barely"] = (
        with_size(files["png"], max_pixels + 1, 1),
        much.format(max_pixels + 1),
    )
    png = files["png"]
    idat = png.index(b"IDAT") - 4
    for name, at in (("chunk before", 33), ("chunk", idat), ("chunk behind", len(png) - 12)):
        length = struct.pack(">I", (1 << 31) - 1)  # OpenCV would allocate and fill this many bytes
        cases[f"bomb png {name}"] = (
            png[:at] + length + (b"IDAT" if at == idat else b"abCd") + png[at + 8 :],
            "the (PNG )?image is corrupt or truncated|not an image",
        )
    zeros = zlib.compressobj()
    packed = b"".join(zeros.compress(bytes(1 << 20)) for _ in range(64)) + zeros.flush()
    side = 1 << 14
    cases["bomb png packed"] = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", packed)
        + chunk(b"IEND", b""),
        much.format(side * side),
    )
    return cases
