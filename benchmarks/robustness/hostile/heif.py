"""Hostile HEICs and AVIFs with false boxes (ISO/IEC 14496-12, 23008-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from random import Random

from benchmarks.robustness.hostile import bases, damage
from benchmarks.robustness.hostile.image_bytes import with_size

_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0}  # with the offset of their boxes
_CONFIGURATIONS = (b"hvcC", b"av1C")


def box(name: bytes, payload: bytes) -> bytes:
    """Return a box with its length."""
    return struct.pack(">I", len(payload) + 8) + name + payload


def full(name: bytes, payload: bytes, version: int = 0, flags: int = 0) -> bytes:
    """Return a box with a version and flags."""
    return box(name, struct.pack(">I", version << 24 | flags) + payload)


def places(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield offset and name of each box of a valid file, including nested ones."""
    at, stop = start, len(data) if end is None else end
    while at < stop:
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        yield at, name
        if name in _CONTAINERS:
            yield from places(data, at + 8 + _CONTAINERS[name], at + size)
        at += size


def _of(data: bytes, names: tuple[bytes, ...]) -> bytes:
    """Return the first box with one of these names."""
    at = next(at for at, name in places(data) if name in names)
    return data[at : at + int.from_bytes(data[at : at + 4], "big")]


def _some(random: Random) -> bytes:
    return random.choice(bases.heics() + bases.avifs())


def grid(
    data: bytes,
    columns: int,
    rows: int,
    *,
    size: tuple[int, int] | None = None,
    parts: list[int] | None = None,
    properties: bytes = b"",
) -> bytes:
    """Return a grid photo that repeats one tile, which the file contains once.

    Args:
        data: a file with one image, the tile.
        columns: of tiles.
        rows: of tiles.
        size: width and height in the header; default: the tiles' total size.
        parts: ids of the grid's items; default: its tiles', which begin at 2.
        properties: additional boxes that apply to the grid.
    """
    tile = _of(data, (b"ispe",))
    wide, high = struct.unpack(">II", tile[12:20])
    width, height = size or (columns * wide, rows * high)
    tiles = list(range(2, 2 + columns * rows))
    parts = tiles if parts is None else parts
    coding = b"hvc1" if b"hvcC" in data else b"av01"
    infe = (
        full(b"infe", struct.pack(">HH", item, 0) + (b"grid" if item == 1 else coding) + b"\0", 2)
        for item in (1, *tiles)
    )
    ispe = full(b"ispe", struct.pack(">II", width, height))
    known = [ispe, tile, _of(data, _CONFIGURATIONS), *([properties] if properties else [])]
    own = [1, 4] if properties else [1]
    links = struct.pack(">HB", 1, len(own)) + bytes(own)
    links += b"".join(struct.pack(">HBBB", item, 2, 2, 0x83) for item in tiles)
    head = struct.pack(">BBBBII", 0, 1, (rows - 1) % 256, (columns - 1) % 256, width, height)
    image = _of(data, (b"mdat",))[8:]

    def meta(start: int) -> bytes:
        """Return the meta box for the tile's bytes at `start`."""
        where = struct.pack(">HHHHIII", 1, 1, 0, 1, 0, len(head), 0)[:-4]
        where += b"".join(
            struct.pack(">HHHHII", item, 0, 0, 1, start, len(image)) for item in tiles
        )
        return full(
            b"meta",
            full(b"hdlr", bytes(4) + b"pict" + bytes(13))
            + full(b"pitm", struct.pack(">H", 1))
            + full(b"iloc", struct.pack(">HH", 0x4400, 1 + len(tiles)) + where, 1)
            + full(b"iinf", struct.pack(">H", 1 + len(tiles)) + b"".join(infe_list))
            + full(
                b"iref",
                box(b"dimg", struct.pack(f">HH{len(parts)}H", 1, len(parts), *parts)),
            )
            + box(
                b"iprp",
                box(b"ipco", b"".join(known))
                + full(b"ipma", struct.pack(">I", 1 + len(tiles)) + links),
            )
            + box(b"idat", head),
        )

    infe_list = list(infe)
    brand = _of(data, (b"ftyp",))
    start = len(brand) + len(meta(0)) + 8
    return brand + meta(start) + box(b"mdat", image)


def lengths(random: Random) -> bytes:
    """A box with a false length or name."""
    data = _some(random)
    at, _ = random.choice(list(places(data)))
    if random.random() < 0.2:
        return data[: at + 4] + random.randbytes(4) + data[at + 8 :]
    return data[:at] + damage.number(random, 4) + data[at + 4 :]


def payloads(random: Random) -> bytes:
    """Damaged boxes: the tables, the decoder's configuration, the coded picture."""
    data = _some(random)
    at, _ = random.choice([item for item in places(data) if item[1] not in _CONTAINERS])
    end = at + int.from_bytes(data[at : at + 4], "big")
    part = data[at + 8 : end]
    # Keep the length, so that the following boxes are still found.
    change = random.choice((damage.flip, damage.overwrite))
    return data[: at + 8] + change(random, part)[: len(part)].ljust(len(part), b"\0") + data[end:]


def order(random: Random) -> bytes:
    """Boxes that are missing, duplicated or reordered."""
    data, parts = _some(random), []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        parts.append(data[at : at + size])
        at += size
    return b"".join(damage.shuffled(random, parts))


def sizes(random: Random) -> bytes:
    """A size other than that of the coded picture: larger, smaller, turned, zero."""
    width, height = bases.SIZE
    side = random.choice((0, 1, 8, 63, 64, 65, 7000, 16_384, 65_536, 2**31, 2**32 - 1))
    return with_size(_some(random), *random.choice(
        ((side, side), (side, height), (width, side), (height, width), (width - 1, height))
    ))  # fmt: skip


def tiles(random: Random) -> bytes:
    """Grids with many tiles, missing tiles, themselves as tiles, or a false size."""
    data = random.choice((bases.heics()[0], bases.avifs()[0]))
    columns, rows = random.choice(((1, 1), (2, 2), (3, 1), (20, 20), (256, 1), (40, 40)))
    count = columns * rows
    parts = random.choice(
        (None, None, [1] * count, [2] * count, [], [2], [9999] * count, [1, 2, 1, 2])
    )
    size = random.choice((None, None, (1, 1), (7000, 7000), (65_535, 3), (2**32 - 1, 2**32 - 1)))
    transformation = random.choice(
        (b"", b"", box(b"irot", b"\1"), box(b"imir", b"\1"), clap(random))
    )
    return grid(data, columns, rows, size=size, parts=parts, properties=transformation)


def clap(random: Random) -> bytes:
    """Return a crop box with arbitrary fractions."""
    return box(b"clap", b"".join(damage.number(random, 4) for _ in range(8)))


def sequences(random: Random) -> bytes:
    """Image sequences, or stills that claim to be sequences."""
    if random.random() < 0.3:
        return bases.avifs()[-1]
    brand = random.choice(
        (b"msf1", b"hevc", b"hevx", b"avis", b"heic", b"mif1", b"isom", b"\0\0\0\0")
    )
    data = _some(random)
    data = data[:8] + brand + data[12:]
    return data + random.choice((b"", box(b"moov", random.randbytes(40))))


def noise(random: Random) -> bytes:
    """Cuts, flips and splices anywhere."""
    return damage.noise(random, _some(random))
