"""What decodes one HEIC or AVIF photo in a process of its own: started by apart.py, as a script.

Arguments: HEIC or AVIF; bytes of memory that it may take from here on; seconds of processor time.
The file is standard input. By standard output go a line `mode width height`, as Pillow names
modes, and the rows of pixels; nothing where there is no photo. The exit status tells why.
"""

from __future__ import annotations

import io
import os
import resource
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

DAMAGED, NO_MEMORY = 3, 4
NICE = 5  # who sends what takes a process of its own waits, rather than others
_ROWS = 256  # that are copied at a time

Decoded = tuple[str, tuple[int, int], Iterable[bytes]]  # mode, width and height, rows of pixels


def main() -> int:
    """Decode, within limits that hold before the first byte is read."""
    kind, memory, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    decode = {"HEIC": _heic, "AVIF": _avif}[kind]()
    _limit(memory, seconds)
    os.nice(NICE)
    try:
        mode, size, rows = decode(sys.stdin.buffer.read())
        sys.stdout.buffer.write(f"{mode} {size[0]} {size[1]}\n".encode())
        for part in rows:
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
    except MemoryError:
        return NO_MEMORY
    except Exception:  # damage surfaces as many of the libraries' exception classes
        return DAMAGED
    return 0


def _limit(memory: int, seconds: int) -> None:
    """No more memory or time than that; nothing written, nor a dump of somebody's photo."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = {
        resource.RLIMIT_AS: pages * resource.getpagesize() + memory,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for which, most in limits.items():
        # At the hard limit of time the kernel kills without saying why.
        resource.setrlimit(which, (most, most + (which == resource.RLIMIT_CPU)))


def _heic() -> Callable[[bytes], Decoded]:
    import pi_heif  # noqa: PLC0415 - only what is needed, to start fast

    pi_heif.options.DECODE_THREADS = 1

    def decode(data: bytes) -> Decoded:
        photo = pi_heif.open_heif(data, convert_hdr_to_8bit=True)

        def rows() -> Iterator[bytes]:
            yield photo.data  # a view of memory that is the photo's, which has to live as long

        return photo.mode, photo.size, rows()

    return decode


def _avif() -> Callable[[bytes], Decoded]:
    from PIL import AvifImagePlugin, Image  # noqa: PLC0415

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    Image.MAX_IMAGE_PIXELS = None  # whoever started us has looked at the header
    Image.preinit()

    def decode(data: bytes) -> Decoded:
        photo = Image.open(io.BytesIO(data), formats=("AVIF",))
        photo.load()
        width, height = photo.size
        rows = (
            photo.crop((0, top, width, min(top + _ROWS, height))).tobytes()
            for top in range(0, height, _ROWS)
        )
        return photo.mode, photo.size, rows

    return decode


if __name__ == "__main__":
    sys.exit(main())
