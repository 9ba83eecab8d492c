"""Headers of HEIC and AVIF files (ISO/IEC 23008-12 on ISO/IEC 14496-12), read without decoding.

Only the description of the primary image is read: its size, coding and rotation. Everything else
is left to the decoders, which run in child processes (isolated.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from aurum.imaging.decoding.refusal import ACCEPTED, InvalidImageError

# Maximum size of the box that contains all metadata, bytes: a grid of 48 megapixels has some 60 KB.
_MAX_META = 1 << 20
_MAX_BOXES = 5000  # in one container: libheif accepts files of 1000 items
_MAX_BRANDS = 32
# Brands of image sequences (ISO/IEC 23008-12, 10; AV1 Image File Format, 6).
_SEQUENCES = {b"avis", b"msf1", b"hevc", b"hevx", b"hevm", b"hevs"}
_IMAGES = {b"avif", b"mif1", b"heic", b"heix", b"heim", b"heis"}
_CODINGS = {b"hvc1": ("HEIC", b"hvcC"), b"av01": ("AVIF", b"av1C")}
# EXIF orientation by anticlockwise quarter turns, and whether the image is mirrored before.
_ORIENTATIONS = {
    (0, False): 1, (1, False): 8, (2, False): 3, (3, False): 6,
    (0, True): 2, (1, True): 5, (2, True): 4, (3, True): 7,
}  # fmt: skip
# Samples per pixel by chroma_format_idc (ISO/IEC 23008-2, 6.2).
_SAMPLES = (1.0, 1.5, 2.0, 3.0)

_Properties = list[tuple[bytes, memoryview]]


class Header(NamedTuple):
    """The header of a file's primary image."""

    kind: str  # HEIC or AVIF
    stored: tuple[int, int]  # width and height as coded, pixels
    size: tuple[int, int]  # width and height after cropping and rotation
    orientation: int  # its rotation as an EXIF orientation, 1..8
    samples: float  # bytes per decoded pixel, before conversion to RGB


class _BrokenError(ValueError):
    """A box violates the standards."""


def header(data: bytes) -> Header:
    """Read the header of a file that begins with an `ftyp` box.

    Raises:
        InvalidImageError: ``animated`` for a sequence, ``other_format`` for another kind of file or
            coding, ``damaged`` for an invalid header.
    """
    try:
        return _header(memoryview(data))
    except (_BrokenError, LookupError):
        raise InvalidImageError(
            "damaged", f"the image is corrupt or truncated (its HEIF header); {ACCEPTED}"
        ) from None


def _header(data: memoryview) -> Header:
    top: dict[bytes, memoryview] = {}
    for name, content in _boxes(data):
        top.setdefault(name, content)
        if b"meta" in top and b"mdat" in top:
            break
    brands = [bytes(top[b"ftyp"][at : at + 4]) for at in range(0, 4 * _MAX_BRANDS, 4)]
    del brands[1]  # the version number
    if not (_IMAGES | _SEQUENCES).intersection(brands):
        raise _unsupported(f"files of the kind {brands[0].decode('latin-1').strip()!r}")
    if brands[0] in _SEQUENCES or b"moov" in top:
        kind = "AVIF" if {b"avis", b"avif"}.intersection(brands) else "HEIC"
        raise InvalidImageError(
            "animated", f"the image is a sequence ({kind}); send the one frame that is meant"
        )
    meta = top[b"meta"]
    if len(meta) > _MAX_META:
        raise _BrokenError
    return _primary(dict(_boxes(meta[4:])))


def _primary(meta: dict[bytes, memoryview]) -> Header:
    primary = _number(meta[b"pitm"], 4, 2 if meta[b"pitm"][0] == 0 else 4)
    kinds = _kinds(meta[b"iinf"])
    coded = _first_part(meta[b"iref"], primary) if kinds[primary] == b"grid" else primary
    if kinds[coded] not in _CODINGS:
        raise _unsupported(f"HEIF images of {kinds[coded].decode('latin-1')!r}")
    kind, configuration = _CODINGS[kinds[coded]]
    properties = _properties(meta[b"iprp"], {primary, coded})
    extent = dict(properties[primary])[b"ispe"]
    stored = _number(extent, 4, 4), _number(extent, 8, 4)
    if not all(stored):
        raise _BrokenError
    size, orientation = _turned(stored, properties[primary])
    samples = _samples(kind, dict(properties[coded])[configuration])
    return Header(kind, stored, size, orientation, samples)


def _kinds(iinf: memoryview) -> dict[int, bytes]:
    """The items' types, by item id."""
    kinds = {}
    for name, entry in _boxes(iinf[6 if iinf[0] == 0 else 8 :]):
        if name == b"infe" and entry[0] >= 2:
            size = 2 if entry[0] == 2 else 4
            kinds[_number(entry, 4, size)] = bytes(entry[6 + size : 10 + size])
    return kinds


def _first_part(iref: memoryview, item: int) -> int:
    """The id of a grid's first tile."""
    size = 2 if iref[0] == 0 else 4
    for name, reference in _boxes(iref[4:]):
        if name == b"dimg" and _number(reference, 0, size) == item:
            return _number(reference, size + 2, size)
    raise _BrokenError


def _properties(iprp: memoryview, items: set[int]) -> dict[int, _Properties]:
    """Names and contents of the items' properties by item id, in the order of application."""
    known: _Properties = []
    found: dict[int, _Properties] = {item: [] for item in items}
    for name, content in _boxes(iprp):
        if name == b"ipco":
            known = list(_boxes(content))
        elif name == b"ipma":
            for item, indices in _associations(content):
                if item in found:
                    found[item] += [known[index - 1] for index in indices if index]
    return found


def _associations(ipma: memoryview) -> Iterator[tuple[int, list[int]]]:
    item_size = 2 if ipma[0] == 0 else 4
    size = 2 if ipma[3] & 1 else 1
    essential = 1 << (8 * size - 1)
    at = 8
    for _ in range(min(_number(ipma, 4, 4), _MAX_BOXES)):
        item, count = _number(ipma, at, item_size), ipma[at + item_size]
        start = at + item_size + 1
        at = start + size * count
        yield item, [_number(ipma, one, size) & (essential - 1) for one in range(start, at, size)]


def _turned(size: tuple[int, int], properties: _Properties) -> tuple[tuple[int, int], int]:
    """The size after all transformations, and the rotation as an EXIF orientation."""
    width, height = size
    turns, mirrored = 0, False
    for name, content in properties:
        if name == b"clap":
            wide, wide_by, high, high_by = (_number(content, at, 4) for at in (0, 4, 8, 12))
            if not (wide_by and high_by):
                raise _BrokenError
            width, height = min(width, wide // wide_by), min(height, high // high_by)
        elif name == b"irot":
            angle = content[0] & 3
            turns += angle
            width, height = (height, width) if angle % 2 else (width, height)
        elif name == b"imir":
            # 1: swaps left and right. 0: swaps top and bottom, which is half a turn more.
            turns, mirrored = (0 if content[0] & 1 else 2) - turns, not mirrored
    if not (width and height):
        raise _BrokenError
    return (width, height), _ORIENTATIONS[turns % 4, mirrored]


def _samples(kind: str, configuration: memoryview) -> float:
    if kind == "HEIC":
        samples, deep = _SAMPLES[configuration[16] & 3], configuration[17] & 7 > 0
    else:
        bits = configuration[2]
        chroma = 0 if bits & 16 else 3 - (bits >> 3 & 1) - (bits >> 2 & 1)
        samples, deep = _SAMPLES[chroma], bool(bits & 64)
    return samples * 2 if deep else samples


def _unsupported(what: str) -> InvalidImageError:
    return InvalidImageError("other_format", f"{what} are not supported; {ACCEPTED}")


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Names and contents of consecutive boxes."""
    at = 0
    for _ in range(_MAX_BOXES):
        if at == len(data):
            return
        size, name, start = _number(data, at, 4), bytes(data[at + 4 : at + 8]), at + 8
        if size == 1:
            size, start = _number(data, at + 8, 8), at + 16
        end = len(data) if size == 0 else at + size
        if not start <= end <= len(data):
            raise _BrokenError
        yield name, data[start:end]
        at = end
    raise _BrokenError


def _number(data: memoryview, at: int, size: int) -> int:
    if at + size > len(data):
        raise _BrokenError
    return int.from_bytes(data[at : at + size], "big")
