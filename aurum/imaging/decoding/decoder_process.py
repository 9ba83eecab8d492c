"""A process that decodes photos for a step: started by apart.py, as a script.

Standard input is a socket of orders, each with three files: the photo, where its pixels go, and
where to say what became of it. For each a child is forked, which has the libraries from the start,
and limits that the kernel holds before it reads the first byte. When the step ends, so do all.
"""

from __future__ import annotations

import mmap
import os
import resource
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

DAMAGED, NO_MEMORY = 3, 4
NICE = 5  # who sends what takes a process of its own waits, rather than others
# What the file of pixels begins with: width, height, and 1 / n of the photo's size.
HEAD = struct.Struct("<3I4x")
_ORDER = 1024  # bytes that an order may have
_FILES = 3
_HEIF = "aurum.imaging.decoding.heif_pictures"
_PICTURES = "aurum.imaging.decoding.pictures"

# Width and height, 1 / n of the photo's size, and rows of RGB.
Decoded = tuple[tuple[int, int], int, Iterable[Any]]


class Order(NamedTuple):
    """One photo."""

    kind: str  # JPEG, PNG, WEBP, HEIC or AVIF
    factor: int  # of a JPEG: 1 / n of its size is wanted
    memory: int  # bytes of pixels that decoding may have
    space: int  # bytes of addresses that the process may take for all of it
    seconds: int  # of processor time, whole as the kernel counts them

    def to_bytes(self) -> bytes:
        """For the socket."""
        return " ".join(map(str, self)).encode()

    @classmethod
    def from_bytes(cls, written: bytes) -> Order:
        """From the socket."""
        kind, *numbers = written.decode().split()
        return cls(kind, *map(int, numbers))


def _heif(name: str, _: Order, data: bytes) -> Decoded:
    picture = getattr(import_module(_HEIF), name)(data)
    return picture.size, 1, picture.rows


def _opencv(_: Order, data: bytes) -> Decoded:
    return _whole(import_module(_PICTURES).png_or_webp(data), 1)


def _jpeg(order: Order, data: bytes) -> Decoded:
    pictures = import_module(_PICTURES)
    found = pictures.jpeg.read(data)
    pixels, factor = pictures.of_jpeg(data, found.frame, order.factor, order.memory, lambda: None)
    if not factor:
        raise MemoryError
    return _whole(pixels, factor)


def _whole(pixels: Any, factor: int) -> Decoded:
    return pixels.shape[1::-1], factor, [pixels.data]


# How each kind is decoded, and what is worth importing only once.
DECODERS: dict[str, tuple[Callable[[Order, bytes], Decoded], tuple[str, ...]]] = {
    "HEIC": (partial(_heif, "heic"), (_HEIF, "pi_heif")),
    "AVIF": (partial(_heif, "avif"), (_HEIF,)),
    "JPEG": (_jpeg, (_PICTURES,)),
    "PNG": (_opencv, (_PICTURES,)),
    "WEBP": (_opencv, (_PICTURES,)),
}


def main() -> None:
    """Take orders until the step has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's, which the step answers
    orders = socket.socket(fileno=0)
    ended, wake = socket.socketpair()
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    working: dict[int, int] = {}  # by process: where to say what became of it
    while True:
        for ready in select.select([orders, ended], [], [])[0]:
            if ready is ended:
                ended.recv(_ORDER)
                _tell(working)
                continue
            order, files, _, _ = socket.recv_fds(orders, _ORDER, _FILES)
            if not order:
                for child in working:
                    os.kill(child, signal.SIGKILL)
                return
            photo, pixels, answer = files
            for module in DECODERS[Order.from_bytes(order).kind][1]:
                import_module(module)
            child = os.fork()
            if not child:
                for other in (0, ended.fileno(), wake.fileno(), answer, *working.values()):
                    os.close(other)
                _child(Order.from_bytes(order), photo, pixels)
            working[child] = answer
            os.close(photo)
            os.close(pixels)


def _tell(working: dict[int, int]) -> None:
    """Say what became of the children that have ended: exit status, and processor time."""
    while working:
        child, status, used = os.wait4(-1, os.WNOHANG)
        if not child:
            return
        answer = working.pop(child)
        said = f"{os.waitstatus_to_exitcode(status)} {used.ru_utime + used.ru_stime}"
        with suppress(OSError):  # nobody waits for it any more
            os.write(answer, said.encode())
        os.close(answer)


def _child(order: Order, photo: int, pixels: int) -> None:
    """Decode one photo, and end."""
    status = DAMAGED
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        limit(order.space, order.seconds)
        os.nice(NICE)
        _decode(order, photo, pixels)
        status = 0
    except MemoryError:
        status = NO_MEMORY
    except Exception:  # noqa: S110 - damage surfaces as many of the libraries' exception classes
        pass
    finally:
        os._exit(status)


def _decode(order: Order, photo: int, pixels: int) -> None:
    with open(photo, "rb") as file:
        file.seek(0)  # a process that ended may have read it
        size, factor, rows = DECODERS[order.kind][0](order, file.read())
    with mmap.mmap(pixels, 0) as target:
        target.write(HEAD.pack(*size, factor))
        for part in rows:
            target.write(part)
        if target.tell() != HEAD.size + 3 * size[0] * size[1]:
            raise ValueError("a part is missing")


def limit(space: int, seconds: int) -> None:
    """No more memory or time than that; nothing written, nor a dump of somebody's photo."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = {
        resource.RLIMIT_AS: pages * resource.getpagesize() + space,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for which, most in limits.items():
        # At the hard limit of time the kernel kills without saying why.
        resource.setrlimit(which, (most, most + (which == resource.RLIMIT_CPU)))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))
    main()
