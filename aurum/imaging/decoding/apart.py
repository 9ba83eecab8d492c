"""Photos that are decoded in processes of their own, which the kernel ends at their limits.

HEIC and AVIF always: what their headers promise does not bind their coded pictures, and a few
hundred bytes can ask for gigabytes, or for minutes. Others where decoding may take long, as no
library's call can be ended. Where a decoder crashes that is an answer about one photo. The first
such photo starts a process (decoder_process.py), which forks one for each. (The standard library's
forkserver tells no processor time, and starts a second process.) What it costs:
docs/design/untrusted-input.md.
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

# Processor time that a HEIC or AVIF may take: 0.05 s a megapixel were measured, of noise.
_SECONDS = 2
_PIXELS_A_SECOND = 4_000_000
_FIXED = 32 << 20  # bytes of memory that a decoder takes for the smallest photo
_TRIES = 3  # processes that may end before they have said what became of a photo
_ANSWER = 64  # bytes


@cache
def heic_available() -> bool:
    """Whether the decoder of HEIC is installed; who can't have its licence may leave it out."""
    return find_spec("pi_heif") is not None


def decode(
    kind: str, data: bytes, size: tuple[int, int], factor: int, memory: int, clock: Clock
) -> tuple[NDArray[np.uint8], int]:
    """The pixels, RGB [height, width, 3], and 1 / n of the photo's size that they have.

    As stored, but a HEIC turned as it says; of a JPEG no larger than asked for.

    Args:
        kind: JPEG, PNG, WEBP, HEIC or AVIF.
        data: the file.
        size: width and height that its header promises.
        factor: 1 / n of the size is wanted; of anything but a JPEG: 1.
        memory: bytes that decoding may take, without the pixels that come of it.
        clock: of the photo, which is told the processor time that this takes.

    Raises InvalidImageError: damaged, of another size than its header says, or beyond the limits.
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
        # Whatever becomes of a decoder, what we map stays there.
        fcntl.fcntl(pixels, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
        done = _decoders.ask(order.to_bytes(), photo.fileno(), pixels.fileno())
        # What the kernel counts until it ends a process differs from what it tells by some ms.
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
    if status in (decoder_process.NO_MEMORY, -signal.SIGKILL):  # the kernel's own way, that is
        return InvalidImageError(
            "too_much_memory",
            f"the {kind} image takes more memory to be decoded than its header lets expect; for "
            f"{kind} of its size and depth at most {order.memory} bytes are allowed",
        )
    if status == -signal.SIGXCPU:
        clock.check()
        return InvalidImageError(
            "too_much_time",
            f"the {kind} image takes longer to be decoded than its header lets expect; for its "
            f"size at most {order.seconds} s of processor time are allowed "
            "(AURUM_MAX_PHOTO_SECONDS)",
        )
    return damaged(kind)


class _Done(NamedTuple):
    """What became of a photo."""

    status: int  # of the process that decoded it: its exit's, or a signal below 0
    seconds: float  # of processor time


class _Decoders:
    """The process that has photos decoded: started when it is first needed, or has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None

    def ask(self, order: bytes, photo: int, pixels: int) -> _Done:
        """Have a photo decoded; any number of threads may ask at a time."""
        for _ in range(_TRIES):
            orders = self._running()
            answer, theirs = os.pipe()
            with os.fdopen(answer, "rb", buffering=0) as answers:
                with os.fdopen(theirs, "wb"), suppress(OSError):
                    socket.send_fds(orders, [order], [photo, pixels, theirs])
                said = answers.read(_ANSWER)
            if said:
                status, seconds = said.split()
                return _Done(int(status), float(seconds))
            self._end(orders)
        raise RuntimeError("the process that decodes photos ended again and again")

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
        """Bury the process, unless another thread has done so and there is a new one."""
        with self._lock:
            # Not closed: others may be about to send.
            if orders is self._orders and self._process is not None:
                self._process.kill()
                self._process.wait()
                self._orders = None


_decoders = _Decoders()


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
    """What finds Python's libraries.

    One heap, and one thread: more would count as memory that is not used, and a process with
    threads can't be forked.
    """
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    one = ("OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "MALLOC_ARENA_MAX")
    return {**kept, **dict.fromkeys(one, "1")}
