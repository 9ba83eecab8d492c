"""HEIC and AVIF photos, each decoded in a process of its own.

What such a file's header promises does not bind its coded pictures: a few hundred bytes can ask for
gigabytes, or for minutes. A process has limits that hold, and where a decoder crashes that is an
answer about one photo. What it costs: docs/security.md.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from numpy.typing import NDArray

from aurum.imaging.decoding import decoder_process
from aurum.imaging.decoding.refusal import InvalidImageError, damaged

# Processor time that a decoder may take: 0.05 s a megapixel were measured, of noise.
_SECONDS = 2
_PIXELS_A_SECOND = 4_000_000
_PIPE = 1 << 20  # bytes: the most that an ordinary process may ask for
_FIXED = 32 << 20  # bytes of memory that a decoder takes for the smallest photo
_LINE = 64  # bytes that the line before the pixels may have
# Pillow's modes: bytes a pixel, and what makes it RGB.
_MODES = {
    "RGB": (3, None),
    "RGBA": (4, cv2.COLOR_RGBA2RGB),
    "RGBa": (4, cv2.COLOR_RGBA2RGB),
    "L": (1, cv2.COLOR_GRAY2RGB),
    "I;16": (2, cv2.COLOR_GRAY2RGB),
}


@cache
def decodes_heic() -> bool:
    """Whether the decoder of HEIC is installed; who can't have its licence may leave it out."""
    return find_spec("pi_heif") is not None


def decode(
    kind: str, data: bytes, size: tuple[int, int], memory: int, left: float
) -> NDArray[np.uint8]:
    """The pixels of a HEIC (turned as it says) or an AVIF (as stored): RGB [height, width, 3].

    Args:
        kind: HEIC or AVIF.
        data: the file.
        size: width and height that its header promises.
        memory: bytes that the process may take for it.
        left: seconds of processor time that the photo has left, at most.

    Raises InvalidImageError: damaged, of another size than its header says, or beyond the limits.
    """
    # Whole seconds, as the kernel counts them.
    seconds = min(_SECONDS + size[0] * size[1] // _PIXELS_A_SECOND, ceil(left))
    arguments = [decoder_process.__file__, kind, str(memory + _FIXED), str(seconds)]
    # A file in memory, not a pipe: a process that ends early leaves nobody writing to it.
    with os.fdopen(os.memfd_create("photo"), "w+b", buffering=0) as file:
        file.write(data)
        file.seek(0)
        process = subprocess.Popen(
            [_python(), "-I", *arguments],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            pipesize=_PIPE,
            env=_environment(),
        )
    with process:
        assert process.stdout is not None
        try:
            pixels = _read(process.stdout, size)
        except _OtherError:
            process.kill()
            raise damaged(kind) from None
    if pixels is None or process.returncode:
        raise _refusal(kind, process.returncode, memory, seconds)
    return pixels


class _OtherError(ValueError):
    """Another picture than was promised."""


def _read(stream: IO[bytes], size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """The pixels; None where the process ended before all were there."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = stream.read(1)
        if not byte:
            return None
        line += byte
        if len(line) > _LINE:
            raise _OtherError
    width, height = size
    mode, _, sides = line.decode("latin-1").partition(" ")
    if sides != f"{width} {height}\n" or mode not in _MODES:
        raise _OtherError
    depth, to_rgb = _MODES[mode]
    pixels = np.empty((height, width, depth), np.uint8)
    left = pixels.data.cast("B")
    while left:
        count = stream.readinto(left)  # type: ignore[attr-defined]
        if not count:
            return None
        left = left[count:]
    if mode == "I;16":  # little endian: its second byte is the higher one
        pixels = np.ascontiguousarray(pixels[..., 1:])
    return pixels if to_rgb is None else np.asarray(cv2.cvtColor(pixels, to_rgb), np.uint8)


def _refusal(kind: str, status: int, memory: int, seconds: int) -> InvalidImageError:
    if status in (decoder_process.NO_MEMORY, -signal.SIGKILL):  # the kernel's own way, that is
        return InvalidImageError(
            "too_much_memory",
            f"the {kind} image takes more memory to be decoded than its header lets expect; for "
            f"{kind} of its size and depth at most {memory} bytes are allowed",
        )
    if status == -signal.SIGXCPU:
        return InvalidImageError(
            "too_much_time",
            f"the {kind} image takes longer to be decoded than its header lets expect; for its "
            f"size at most {seconds} s of processor time are allowed (AURUM_MAX_PHOTO_SECONDS)",
        )
    return damaged(kind)


@cache
def _python() -> str:
    """The interpreter. Inside Triton's stub, which is none, it is the PATH's (runtime.py)."""
    if Path(sys.executable or "").name.startswith("python"):
        return sys.executable
    found = shutil.which("python3")
    if found is None:
        raise RuntimeError("no python3 on the PATH to decode HEIC and AVIF with")
    return found


@cache
def _environment() -> dict[str, str]:
    """What finds Python's libraries. One heap: more would count as memory that is not used."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "MALLOC_ARENA_MAX": "1"}
