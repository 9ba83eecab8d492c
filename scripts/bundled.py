"""The C libraries inside the wheels that read photos, which no package index lists advisories of.

A library in a version that nobody has looked at is an error: look for its advisories, then write
here what they mean for us.

.venv/bin/python scripts/bundled.py                    # prints them, by package
.venv/bin/python scripts/bundled.py --cyclonedx FILE   # the same as a software bill of materials
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
# Of OpenCV's, which is held back by numpy 1 and so carries the oldest. The others are the newest of
# their packages, which scripts/advisories.py asks about.
LOOKED_AT = {
    ("ZLib", "1.2.7"): "the builder's header; libpng is linked to the system's zlib",
    (
        "libpng",
        "1.6.44",
    ): "decodes PNG. CVE-2025-64505, -64506, -64720, -65018 and -66293 are in the "
    "simplified interface, the writer and the reduction of colours, none of which OpenCV uses",
    ("libjpeg-turbo", "3.0.3-70"): "not reached: simplejpeg's decodes JPEG",
    ("WEBP", "0x0209"): "decodes WebP",
    ("TIFF", "4.6.0"): "not reached: TIFF is refused by its first bytes",
    ("JPEG 2000", "2.5.0"): "not reached: refused by its first bytes",
    ("OpenEXR", "2.3.0"): "not reached: no format that is accepted; off by default in OpenCV",
    ("Protobuf", "3.19.1"): "not reached: for OpenCV's own networks",
    ("Flatbuffers", "23.5.9"): "not reached: for OpenCV's own networks",
    ("Intel IPP", "2021.12.0"): "arithmetic on pixels",
    ("avcodec", "59.37.100"): _VIDEO,
    ("avformat", "59.27.100"): _VIDEO,
    ("avutil", "57.28.100"): _VIDEO,
    ("swscale", "6.7.100"): _VIDEO,
    ("swresample", "4.7.100"): _VIDEO,
    ("vpx", "9.1.0"): _VIDEO,
    ("crypto", "1.1"): "OpenSSL 1.1.1, which gets no mends any more: only for videos from networks",
    ("ssl", "1.1"): "the same",
    ("gfortran", "3.0.0"): "OpenBLAS's",
    ("openblas-r0", "3.3"): "linear algebra",
    ("png16", "16.44.0"): "libpng, as above",
    ("quadmath", "0.0.0"): "OpenBLAS's",
}
_TOLD = re.compile(
    r"^ *(ZLib|JPEG|WEBP|PNG|TIFF|JPEG 2000|OpenEXR|Protobuf|Flatbuffers|Intel IPP): +(.*)$", re.M
)
_VERSION = re.compile(r"\(ver (?:decoder: |\d+ - )?([\w.-]+)|\(([\d.]+)\)|^([\d.]+) \[")
_SHARED = re.compile(r"lib(.+?)(?:-[0-9a-f]{8})?(?:\.([\d.]+?))?\.so(?:\.([\d.]+))?")
_NAMES = {"PNG": "libpng", "JPEG": "libjpeg-turbo"}


def main() -> int:
    """Print or write what is bundled; 1 if some of OpenCV's has not been looked at."""
    found = {package: sorted(set(bundled(package))) for package in PACKAGES}
    if sys.argv[1:2] == ["--cyclonedx"]:
        Path(sys.argv[2]).write_text(json.dumps(cyclonedx(found), indent=1))
        return 0
    unseen = 0
    for package, libraries in found.items():
        print(f"{package} {importlib.metadata.version(package)}")
        for library in libraries:
            note = LOOKED_AT.get(library, "")
            if package == PACKAGES[0] and not note:
                unseen += 1
                note = "NOT LOOKED AT: see scripts/bundled.py"
            print(f"  {' '.join(library)}{note and ': '}{note}")
    return 1 if unseen else 0


def bundled(package: str) -> Iterator[tuple[str, str]]:
    """Name and version of what lies beside a package's modules, and of what is linked into cv2."""
    for file in importlib.metadata.files(package) or ():
        shared = re.fullmatch(
            r"lib(.+?)(?:-[0-9a-f]{8})?(?:\.([\d.]+?))?\.so(?:\.([\d.]+))?", file.name
        )
        if shared and file.parent.name.endswith((".libs", "capi")):
            yield shared[1], shared[3] or shared[2] or "unknown"
    if package == PACKAGES[0]:
        for name, told in _TOLD.findall(cv2.getBuildInformation()):
            version = _VERSION.search(told)
            if version:
                yield _NAMES.get(name, name), next(filter(None, version.groups()))


def cyclonedx(found: dict[str, list[tuple[str, str]]]) -> dict[str, object]:
    """A document of CycloneDX 1.6: each package with its libraries inside it."""
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
