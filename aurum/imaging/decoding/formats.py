"""Detection of image formats by magic bytes."""

from __future__ import annotations

# Formats that are recognized only to name them in an error: (offset, magic bytes, name).
_REFUSED = (
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"%PDF", "PDF"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"<svg", "SVG"),
)


def accepted(data: bytes) -> str | None:
    """Detect an accepted format: JPEG, PNG, WEBP, or HEIF, the container of HEIC and AVIF."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return "HEIF"
    return None


def refused(data: bytes) -> str | None:
    """Detect a known format that isn't accepted, and return its name."""
    for offset, magic, name in _REFUSED:
        if data[offset : offset + len(magic)] == magic:
            return name
    return None
