"""List the C libraries inside the wheels that read photos, for which indexes have no advisories.

A library version that nobody has reviewed is an error: look for its advisories, then add to
REVIEWED what they mean for us.

.venv/bin/python scripts/bundled.py                    # prints them by package
.venv/bin/python scripts/bundled.py --cyclonedx FILE   # writes a software bill of materials
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2

PACKAGES = ("opencv-python-headless", "pi-heif", "pillow", "simplejpeg", "onnxruntime")
_VIDEO = "only for videos, of which we open none"
# Reviewed libraries in OpenCV's wheel, which are old, because numpy 1 holds that wheel back. The
# other wheels are the newest versions of their packages, which scripts/advisories.py checks.
REVIEWED = {
    ("ZLib", "1.2.7"): "version of the build machine's header; libpng uses the system's zlib",
    ("libpng", "1.6.44"): (
        "decodes PNG. CVE-2025-64505, -64506, -64720, -65018 and -66293 are in the "
        "simplified interface, the writer and the reduction of colours, none of which OpenCV uses"
    ),
    ("libjpeg-turbo", "3.0.3-70"): "not reached: simplejpeg's copy decodes JPEG",
    ("WEBP", "0x0209"): "decodes WebP",
    ("TIFF", "4.6.0"): "not reached: TIFF is refused by its first bytes",
    ("JPEG 2000", "2.5.0"): "not reached: refused by its first bytes",
    ("OpenEXR", "2.3.0"): "not reached: not an accepted format; off by default in OpenCV",
    ("Protobuf", "3.19.1"): "not reached: only for OpenCV's neural networks",
    ("Flatbuffers", "23.5.9"): "not reached: only for OpenCV's neural networks",
    ("Intel IPP", "2021.12.0"): "arithmetic on pixels",
    ("avcodec", "59.37.100"): _VIDEO,
    ("avformat", "59.27.100"): _VIDEO,
    ("avutil", "57.28.100"): _VIDEO,
    ("swscale", "6.7.100"): _VIDEO,
    ("swresample", "4.7.100"): _VIDEO,
    ("vpx", "9.1.0"): _VIDEO,
    ("crypto", "1.1"): "OpenSSL 1.1.1, no longer maintained: only for videos from networks",
    ("ssl", "1.1"): "the same",
    ("gfortran", "3.0.0"): "for OpenBLAS",
    ("openblas-r0", "3.3"): "linear algebra",
    ("png16", "16.44.0"): "libpng, as above",
    ("quadmath", "0.0.0"): "for OpenBLAS",
}
_BUILD_INFORMATION = re.compile(
    r"^ *(ZLib|JPEG|WEBP|PNG|TIFF|JPEG 2000|OpenEXR|Protobuf|Flatbuffers|Intel IPP): +(.*)$", re.M
)
_VERSION = re.compile(r"\(ver (?:decoder: |\d+ - )?([\w.-]+)|\(([\d.]+)\)|^([\d.]+) \[")
_SHARED = re.compile(r"lib(.+?)(?:-[0-9a-f]{8})?(?:\.([\d.]+?))?\.so(?:\.([\d.]+))?")
_NAMES = {"PNG": "libpng", "JPEG": "libjpeg-turbo"}


def main() -> int:
    """Print or write the bundled libraries; return 1 if one of OpenCV's has not been reviewed."""
    found = {package: sorted(set(bundled(package))) for package in PACKAGES}
    if sys.argv[1:2] == ["--cyclonedx"]:
        Path(sys.argv[2]).write_text(json.dumps(cyclonedx(found), indent=1))
        return 0
    unreviewed = 0
    for package, libraries in found.items():
        print(f"{package} {importlib.metadata.version(package)}")
        for library in libraries:
            note = REVIEWED.get(library, "")
            if package == PACKAGES[0] and not note:
                unreviewed += 1
                note = "NOT REVIEWED: see scripts/bundled.py"
            print(f"  {' '.join(library)}{note and ': '}{note}")
    return 1 if unreviewed else 0


def bundled(package: str) -> Iterator[tuple[str, str]]:
    """Yield name and version of a package's shared libraries and of those linked into cv2."""
    for file in importlib.metadata.files(package) or ():
        shared = _SHARED.fullmatch(file.name)
        if shared and file.parent.name.endswith((".libs", "capi")):
            yield shared[1], shared[3] or shared[2] or "unknown"
    if package == PACKAGES[0]:
        for name, text in _BUILD_INFORMATION.findall(cv2.getBuildInformation()):
            version = _VERSION.search(text)
            if version:
                yield _NAMES.get(name, name), next(filter(None, version.groups()))


def cyclonedx(found: dict[str, list[tuple[str, str]]]) -> dict[str, object]:
    """Return a CycloneDX 1.6 document: each package with the libraries inside it."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "components": [
            {
                "type": "library",
                "name": package,
                "version": importlib.metadata.version(package),
                "purl": f"pkg:pypi/{package}@{importlib.metadata.version(package)}",
                "components": [
                    {"type": "library", "name": name, "version": version}
                    for name, version in libraries
                ],
            }
            for package, libraries in found.items()
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
