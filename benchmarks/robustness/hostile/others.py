"""Hostile bytes in unaccepted formats or several formats at once, and heavy photos."""

from __future__ import annotations

import base64
import gzip
import io
import zipfile
from functools import cache
from random import Random

import cv2
import numpy as np
from PIL import Image

from benchmarks.robustness.hostile import bases, damage, exif, jpeg, png, webp
from benchmarks.robustness.hostile.image_bytes import blank_jpeg, chunk, with_size


@cache
def _refused() -> tuple[bytes, ...]:
    """Return valid files of formats that the service refuses."""
    small = bases.photo().resize((48, 40))
    box = b"\0\0\0\x1cftyp%s\0\0\0\0mif1miaf" + bytes(64)
    movie = b"\0\0\0\x18ftypqt  \0\0\0\0qt  qt  " + bytes(64)
    frames = [small.rotate(90)]
    return (
        *(bases.encode(small, kind) for kind in ("BMP", "TIFF", "PPM", "TGA", "ICO", "JPEG2000")),
        bases.encode(small.convert("P"), "GIF", save_all=True, append_images=frames),
        b"%PDF-1.7\n1 0 obj<</Kids[1 0 R]>>endobj\n" * 20,
        b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "&#38;a;&#38;a;">]><svg>&a;</svg>',
        box % b"avif", box % b"heic", box % b"mif1",
        movie, b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(64),
        b"\xff\x0a" + bytes(64), b"8BPS\0\1" + bytes(40), b"qoif" + bytes(20),
        b"v/1\x01" + bytes(60), b"#?RADIANCE\n" + bytes(60), b"\x59\xa6\x6a\x95" + bytes(40),
        b"P6 99999999 99999999 255\n" + bytes(10), b"\x00\x00\x01\x00" + bytes(30),
    )  # fmt: skip


def formats(random: Random) -> bytes:
    """Other formats: GIF, BMP, TIFF and more, valid or damaged."""
    data = random.choice(_refused())
    if random.random() < 0.15:
        return exif.block(random)
    return data if random.random() < 0.4 else damage.noise(random, data)


def nothing(random: Random) -> bytes:
    """Not an image: empty, zeros, noise, text, just a magic number."""
    magic = (
        b"\xff\xd8\xff",
        png.SIGNATURE,
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"RIFF\0\0\0\0WEBPVP8L",
        b"GIF89a",
    )
    return random.choice(
        (
            b"",
            b"\0" * random.choice((1, 100, 100_000)),
            random.randbytes(random.choice((1, 10, 1000, 100_000))),
            b"not a photo\n" * 50,
            random.choice(magic),
            random.choice(magic) + random.randbytes(random.choice((1, 20, 3000))),
            random.choice(magic) + b"\xff" * 3000,
        )
    )


def polyglots(random: Random) -> bytes:
    """Two formats in one file: an archive, a page, a script or another photo before or behind."""
    photo = bases.any_photo(random)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        entry = zipfile.ZipInfo("../../etc/cron.d/x")  # dated 1980, to be reproducible
        file.writestr(entry, "* * * * * root true\n")
    other = random.choice(
        (
            archive.getvalue(),
            b"<html><script>alert(1)</script></html>",
            b"<?php system($_GET['c']); ?>",
            b"#!/bin/sh\nexit 1\n",
            b"GIF89a",
            b"%PDF-1.4\n",
            gzip.compress(photo, mtime=0),
            bases.any_photo(random),
            bytes(1_000_000),
        )
    )
    choice = random.randrange(4)
    if choice == 0:
        return other + photo
    if choice == 1:
        return photo + other
    if choice == 2:  # in a comment
        parts = [part.bytes() for part in jpeg.parts_of(bases.jpegs()[0])]
        return jpeg.joined([jpeg.Part(jpeg.COM, other).bytes(), *parts])
    chunks = png.chunks_of(bases.pngs()[0])
    return png.joined([chunks[0], (b"tEXt", b"Comment\0" + other), *chunks[1:]])


def encodings(random: Random) -> bytes:
    """Base64 and data URLs: valid, damaged, double, with line breaks, very long."""
    photo = bases.any_photo(random)
    text = base64.b64encode(photo)
    return random.choice(
        (
            text,
            b"data:image/jpeg;base64," + text,
            b"DATA:;BASE64," + base64.encodebytes(photo),
            text.rstrip(b"="),
            b"data:image/jpeg," + text,
            b"data:image/svg+xml;base64," + base64.b64encode(_refused()[8]),
            b"data:image/" + b"x" * 1000 + b";base64," + text,
            b"data:image/png;base64",
            text[: random.randrange(len(text))],
            text.replace(b"A", b" ", 1),
            base64.encodebytes(photo),
            base64.b64encode(text),
            base64.urlsafe_b64encode(photo),
            damage.flip(random, text),
            text + b"=" * random.randint(1, 5),
            b"/9j/" * random.choice((1, 1000, 500_000)),
        )
    )


@cache
def _flat(kind: str, width: int, height: int) -> bytes:
    """Create a photo of one colour."""
    done, data = cv2.imencode(f".{kind}", np.full((height, width), 120, np.uint8))
    assert done
    return data.tobytes()


def heavy(random: Random) -> bytes:
    """Small files with very many pixels, within the limits: the worst case of decoding."""
    width, height = random.choice(((7000, 7000), (16383, 3000), (3000, 16383), (50_000, 900)))
    kind = random.randrange(3)
    if kind == 0:
        return blank_jpeg(width, height, (0x11,))
    if kind == 1:
        return _flat("png", width, height)
    return _flat("webp", min(width, 16383), min(height, 3000))


def shapes(random: Random) -> bytes:
    """Photos of one row, one column, one pixel, or almost."""
    width, height = random.choice(
        ((1, 1), (1, 20_000), (20_000, 1), (2, 3), (65_500, 2), (3, 16_000), (31, 33), (1, 64))
    )
    kind = random.choice(("JPEG", "PNG", "WEBP"))
    limit = 16_383 if kind == "WEBP" else 65_500
    image = bases.photo().resize((min(width, limit), min(height, limit)), Image.Resampling.NEAREST)
    return bases.encode(image, kind)


def promises(random: Random) -> bytes:
    """Headers that claim more pixels than allowed, or than there are."""
    photo = random.choice((bases.jpegs()[0], bases.pngs()[0], bases.webps()[0], bases.webps()[1]))
    is_webp = photo[:4] == b"RIFF"
    side = random.choice((7072, 16_383) if is_webp else (7072, 16_383, 65_500))
    return with_size(photo, side, side)


def floods(random: Random) -> bytes:
    """Very many tiny parts: chunks, segments, fill bytes."""
    count = random.choice((1000, 100_000))
    if (choice := random.randrange(4)) == 0:
        parts = [part.bytes() for part in jpeg.parts_of(bases.jpegs()[0])]
        return jpeg.joined([jpeg.Part(jpeg.COM, b"").bytes() * count, *parts])
    if choice == 1:
        return b"\xff\xd8" + b"\xff" * count + bases.jpegs()[0][2:]
    if choice == 2:
        data = bases.pngs()[0]
        return data[:33] + chunk(b"tEXt", b"a\0b") * count + data[33:]
    parts = [webp.chunk(name, data) for name, data in webp.chunks_of(bases.webps()[0])]
    return webp.joined([*parts, b"JUNK\0\0\0\0" * count])
