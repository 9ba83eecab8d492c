"""Decoding in child processes with limits on memory and processor time that the kernel enforces.

HEIC and AVIF are always decoded in a child: their coded pictures need not match their headers, and
a few hundred bytes can require gigabytes or minutes. Other formats are if decoding may take long,
because a call of a decoder library can't be interrupted. A crash of a decoder then affects only one
photo. The first such photo starts a process (decoder_process.py), which forks a child for each
photo. (The standard library's forkserver doesn't report processor time, and starts a second
process.) The costs are in docs/design/untrusted-input.md.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum.imaging.decoding import decoder_process
from aurum.imaging.decoding.clock import Clock
from aurum.imaging.decoding.decoder_process import HEAD, Order
from aurum.imaging.decoding.memory import RGB
from aurum.imaging.decoding.refusal import InvalidImageError, damaged

# Processor time allowed for a HEIC or AVIF: a fixed part, and a part by its size. Noise, the worst
# case, took 0.05 s per megapixel.
_SECONDS = 2
_PIXELS_A_SECOND = 4_000_000
_FIXED = 32 << 20  # bytes of memory that a decoder needs for the smallest photo
_TRIES = 3  # how often a photo is tried if the decoder process ends without an answer
_ANSWER = 64  # bytes: the maximum size of an answer


@cache
def heic_available() -> bool:
    """Whether the HEIC decoder is installed; it is optional because of its licence."""
    return find_spec("pi_heif") is not None


def decode(
    kind: str, data: bytes, size: tuple[int, int], factor: int, memory: int, clock: Clock
) -> tuple[NDArray[np.uint8], int]:
    """Decode a photo in a child process.

    Args:
        kind: JPEG, PNG, WEBP, HEIC or AVIF.
        data: the file.
        size: width and height as its header states them, pixels.
        factor: n of the wanted size, which is 1 / n of the photo's; 1 for anything but a JPEG.
        memory: bytes that decoding may take, apart from the resulting pixels.
        clock: the photo's; the child's processor time is added to it.

    Returns:
        The pixels, uint8 RGB [height, width, 3], and n of their size. Only a HEIC is rotated as
        its file says. A JPEG may be smaller than requested.

    Raises:
        InvalidImageError: the file is damaged, has another size than its header states, or exceeds
            the limits.
    """
    seconds = ceil(clock.left)
    if kind in ("HEIC", "AVIF"):
        seconds = min(_SECONDS + size[0] * size[1] // _PIXELS_A_SECOND, seconds)
    most = HEAD.size + RGB * -(-size[0] // factor) * -(-size[1] // factor)
    order = Order(kind, factor, memory, memory + most + len(data) + _FIXED, seconds)
    with (
        os.fdopen(os.memfd_create("photo"), "w+b", buffering=0) as photo,
        os.fdopen(os.memfd_create("pixels", os.MFD_ALLOW_SEALING), "w+b", buffering=0) as pixels,
    ):
        photo.write(data)
        pixels.truncate(most)
        # Sealed, so that a faulty decoder can't shrink the file while it is mapped here.
        fcntl.fcntl(pixels, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
        done = _decoders.ask(order.to_bytes(), photo.fileno(), pixels.fileno())
        # At SIGXCPU the kernel's count differs from the time that it reports by some milliseconds.
        clock.add(seconds if done.status == -signal.SIGXCPU else done.seconds)
        if done.status:
            raise _refusal(order, done.status, clock)
        return _pixels(mmap.mmap(pixels.fileno(), most), order, size)


def _pixels(file: mmap.mmap, order: Order, size: tuple[int, int]) -> tuple[NDArray[np.uint8], int]:
    width, height, factor = HEAD.unpack_from(file)
    promised = [-(-side // max(factor, 1)) for side in size]
    if factor < order.factor or [width, height] != promised:
        raise damaged(order.kind)
    pixels = np.frombuffer(file, np.uint8, RGB * width * height, HEAD.size)
    return pixels.reshape(height, width, RGB), factor


def _refusal(order: Order, status: int, clock: Clock) -> InvalidImageError:
    kind = order.kind
    if status in (decoder_process.NO_MEMORY, -signal.SIGKILL):  # SIGKILL: by the kernel
        return InvalidImageError(
            "too_much_memory",
            f"the {kind} image takes more memory to be decoded than its header suggests; for "
            f"{kind} images of its size and depth at most {order.memory} bytes are allowed",
        )
    if status == -signal.SIGXCPU:
        clock.check()
        return InvalidImageError(
            "too_much_time",
            f"the {kind} image takes longer to be decoded than its header suggests; for its "
            f"size at most {order.seconds} s of processor time are allowed "
            "(AURUM_MAX_PHOTO_SECONDS)",
        )
    return damaged(kind)


class _Result(NamedTuple):
    """The outcome of decoding one photo in a child process."""

    status: int  # the child's exit status, or the negative number of the signal that ended it
    seconds: float  # processor time


class _Decoders:
    """The decoder process: started on first use, and again if it has ended. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None

    def ask(self, order: bytes, photo: int, pixels: int) -> _Result:
        """Let a child process decode a photo.

        Args:
            order: what to decode, from `Order.to_bytes`.
            photo: file descriptor of the encoded file.
            pixels: file descriptor for the result.
        """
        for _ in range(_TRIES):
            orders = self._running()
            answer, theirs = os.pipe()
            with os.fdopen(answer, "rb", buffering=0) as answers:
                with os.fdopen(theirs, "wb"), suppress(OSError):
                    socket.send_fds(orders, [order], [photo, pixels, theirs])
                said = answers.read(_ANSWER)
            if said:
                status, seconds = said.split()
                return _Result(int(status), float(seconds))
            self._end(orders)
        raise RuntimeError("the process that decodes photos ended repeatedly")

    def _running(self) -> socket.socket:
        with self._lock:
            if self._orders is None:
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with theirs:
                    self._process = subprocess.Popen(
                        [_python(), "-I", decoder_process.__file__],
                        stdin=theirs.fileno(),
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        env=_environment(),
                    )
                self._orders = ours
            return self._orders

    def _end(self, orders: socket.socket) -> None:
        """Kill and reap the process, unless another thread has already replaced it."""
        with self._lock:
            # The socket stays open, because other threads may be about to send.
            if orders is self._orders and self._process is not None:
                self._process.kill()
                self._process.wait()
                self._orders = None


_decoders = _Decoders()


@cache
def _python() -> str:
    """The Python interpreter. Triton's stub isn't one; there it is the one on PATH (runtime.py)."""
    if Path(sys.executable or "").name.startswith("python"):
        return sys.executable
    found = shutil.which("python3")
    if found is None:
        raise RuntimeError("no python3 on PATH, which is needed to decode photos")
    return found


@cache
def _environment() -> dict[str, str]:
    """The decoder process's environment: library paths, one heap arena and one thread.

    More arenas and threads would count as memory without being used, and a process with threads
    can't be forked safely.
    """
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    one = ("OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "MALLOC_ARENA_MAX")
    return {**kept, **dict.fromkeys(one, "1")}
