"""A bad selfie: the member is told what is wrong with it and what to do."""

import struct
import zlib

import pytest

from aurum.evaluation import variants
from benchmarks.gallery import scenes
from benchmarks.robustness.hostile.image_bytes import chunk

pytestmark = pytest.mark.usefixtures("real")


def test_a_member_is_told_what_is_wrong(app, photos, seen):
    scene = photos.scene
    shown = []
    for what, photo, status, word in (
        ("blurred", variants.blurred(scene, 0.06).data, 422, "blurred"),
        ("moved", variants.motion(scene, 0.25).data, 422, "blurred"),
        ("too dark", variants.low_light(scene, 0.003).data, 422, "too dark"),
        ("nobody in it, a cat", scenes._skimage("chelsea.png"), 422, "can't see a face"),
        ("two people", photos.side_by_side(photos.ann, photos.bob), 422, "more than one"),
        ("cut off in the midst", photos.ann[:20_000], 400, "can't open"),
        ("a GIF", b"GIF89a" + bytes(200), 400, "can't open"),
        ("not an image", b"Dear Sir or Madam, " * 20, 400, "can't open"),
        ("no bytes at all", b"", 400, "can't open"),
        ("25 megabytes and a byte", photos.ann.ljust(25_000_001, b"\0"), 413, "too large"),
        ("30 megabytes, refused by the gateway", photos.ann + bytes(30_000_000), 413, "too large"),
        ("40 megabytes, refused by the app", photos.ann + bytes(40_000_000), 413, "too large"),
        ("100 megapixels in 200 bytes", huge_png(10_000, 10_000), 413, "too large"),
    ):
        reply = app.keep("dan", photo)
        assert (reply.status, reply.accepted) == (status, False), (what, reply)
        assert word in reply.message, (what, reply)
        if status == 422:
            shown.append(photo)
        score = "" if reply.score is None else f" (score {reply.score})"
        seen(f'{what}: "{reply.message}"{score}')
    seen.picture("bad-selfies.jpg", photos.side_by_side(*shown, height=160))
    assert app.compare("dan", photos.ann).status == 404  # none of them was stored
    assert app.keep("dan", photos.ann).accepted  # and none of them affected the next one


def huge_png(width: int, height: int) -> bytes:
    """The beginning of a PNG whose header declares this size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99)))
