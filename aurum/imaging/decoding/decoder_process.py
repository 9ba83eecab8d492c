"""The process that decodes photos for the step; isolated.py starts it as a script.

Standard input is a socket that receives orders. Each comes with three file descriptors: the encoded
photo, the file for its pixels, and a pipe for the outcome. For each order the process forks a child
that already has the libraries, and sets its limits before it reads the first byte. All of them end
when the step ends.
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

DAMAGED, NO_MEMORY = 3, 4  # exit statuses of a child
NICE = 5  # photos that need a process of their own give way to others
# The header of the file of pixels: width, height, and n of their size, 1 / n of the photo's.
HEAD = struct.Struct("<3I4x")
_ORDER = 1024  # bytes: the maximum size of an order
_FILES = 3
_HEIF = "aurum.imaging.decoding.heif_pictures"
_PICTURES = "aurum.imaging.decoding.pictures"

# Width and height, n of the size 1 / n of the photo's, and buffers of consecutive RGB rows.
Decoded = tuple[tuple[int, int], int, Iterable[Any]]


class Order(NamedTuple):
    """An order to decode one photo, and its limits."""

    kind: str  # JPEG, PNG, WEBP, HEIC or AVIF
    factor: int  # of a JPEG: n of the wanted size, 1 / n of the photo's
    memory: int  # bytes that decoding may take
    space: int  # bytes of address space that the child may add
    seconds: int  # of processor time; whole, as the kernel's limit

    def to_bytes(self) -> bytes:
        """Encode the order for the socket."""
        return " ".join(map(str, self)).encode()

    @classmethod
    def from_bytes(cls, encoded: bytes) -> Order:
        """Decode an order from the socket."""
        kind, *numbers = encoded.decode().split()
        return cls(kind, *map(int, numbers))


def _heif(name: str, _: Order, data: bytes) -> Decoded:
    picture = getattr(import_module(_HEIF), name)(data)
    return picture.size, 1, picture.rows


def _opencv(_: Order, data: bytes) -> Decoded:
    return _all_rows(import_module(_PICTURES).png_or_webp(data), 1)


def _jpeg(order: Order, data: bytes) -> Decoded:
    pictures = import_module(_PICTURES)
    found = pictures.jpeg.read(data)
    pixels, factor = pictures.of_jpeg(data, found.frame, order.factor, order.memory, lambda: None)
    if not factor:
        raise MemoryError
    return _all_rows(pixels, factor)


def _all_rows(pixels: Any, factor: int) -> Decoded:
    return pixels.shape[1::-1], factor, [pixels.data]


# By format: its decoder, and the modules to import before the fork.
DECODERS: dict[str, tuple[Callable[[Order, bytes], Decoded], tuple[str, ...]]] = {
    "HEIC": (partial(_heif, "heic"), (_HEIF, "pi_heif")),
    "AVIF": (partial(_heif, "avif"), (_HEIF,)),
    "JPEG": (_jpeg, (_PICTURES,)),
    "PNG": (_opencv, (_PICTURES,)),
    "WEBP": (_opencv, (_PICTURES,)),
}


def main() -> None:
    """Serve orders until the step has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the step to handle
    orders = socket.socket(fileno=0)
    ended, wake = socket.socketpair()
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    working: dict[int, int] = {}  # by process id: the pipe for its outcome
    while True:
        for ready in select.select([orders, ended], [], [])[0]:
            if ready is ended:
                ended.recv(_ORDER)
                _report(working)
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


def _report(working: dict[int, int]) -> None:
    """Report the outcome of the children that have ended: exit status and processor time."""
    while working:
        child, status, used = os.wait4(-1, os.WNOHANG)
        if not child:
            return
        answer = working.pop(child)
        outcome = f"{os.waitstatus_to_exitcode(status)} {used.ru_utime + used.ru_stime}"
        with suppress(OSError):  # the step no longer waits for it
            os.write(answer, outcome.encode())
        os.close(answer)


def _child(order: Order, photo: int, pixels: int) -> None:
    """Decode one photo, then exit."""
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
    except Exception:  # noqa: S110 - the libraries raise many exception classes for damage
        pass
    finally:
        os._exit(status)


def _decode(order: Order, photo: int, pixels: int) -> None:
    with open(photo, "rb") as file:
        file.seek(0)  # a child of an earlier try may have read it
        size, factor, rows = DECODERS[order.kind][0](order, file.read())
    with mmap.mmap(pixels, 0) as target:
        target.write(HEAD.pack(*size, factor))
        for part in rows:
            target.write(part)
        if target.tell() != HEAD.size + 3 * size[0] * size[1]:
            raise ValueError("the decoder returned too few or too many rows")


def limit(space: int, seconds: int) -> None:
    """Limit this process's memory and time, and forbid it to write files and core dumps.

    Args:
        space: bytes of address space that it may add.
        seconds: of processor time.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = {
        resource.RLIMIT_AS: pages * resource.getpagesize() + space,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for which, most in limits.items():
        # The soft limit of time causes SIGXCPU. At the hard limit the kernel sends SIGKILL, which
        # doesn't tell the reason.
        resource.setrlimit(which, (most, most + (which == resource.RLIMIT_CPU)))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))
    main()
