"""Refuses new gRPC connections of a server that is stopping, while its old ones go on.

The pipelines refuse requests while the server drains, but a gRPC status is no failure to nginx,
which then prefers this server as the least busy one. HTTP status 503, which gRPC takes for
UNAVAILABLE, makes it ask the next server and leave this one out. tritonserver can't do this alone,
but shares its port (`--reuse-grpc-port`): Linux hands new connections to the socket that a filter
names.
"""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_SO_ATTACH_REUSEPORT_CBPF = 51  # asm-generic/socket.h
_LISTENING = "0A"  # net/tcp_states.h
PATIENCE = 10.0  # seconds for a request's next bytes

# HTTP/2 (RFC 9113): as much of it as a refusal takes.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _WINDOW_UPDATE = 0, 1, 4, 8
_END_STREAM = _ACK = 0x1
_END_HEADERS = 0x4
_INITIAL_WINDOW = 4
_LARGEST_WINDOW = (1 << 31) - 1
_STATUS = b"\x08\x03503"  # ":status: 503" in HPACK (RFC 7541), its name from the static table


@contextmanager
def closed(port: int) -> Iterator[bool]:
    """Refuse new connections to a listening gRPC port of this user's; whether that works here.

    The port's own sockets must have SO_REUSEPORT.
    """
    listeners = _listeners(port)
    taken = _take(port, listeners) if listeners else None
    if taken is None:
        yield False
        return
    thread = threading.Thread(target=_serve, args=(taken,), daemon=True)
    thread.start()
    try:
        yield True
    finally:
        with suppress(OSError):
            taken.shutdown(socket.SHUT_RDWR)  # wakes the thread
        thread.join()
        taken.close()


def _listeners(port: int) -> list[tuple[socket.AddressFamily, str]]:
    """Family and address of each socket that listens on the port."""
    found = []
    for family, file in ((socket.AF_INET6, "tcp6"), (socket.AF_INET, "tcp")):
        with suppress(OSError):
            for line in Path("/proc/net", file).read_text().splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                address, _, number = local.partition(":")
                if state == _LISTENING and int(number, 16) == port:
                    found.append((family, _address(address)))
    return found


def _address(text: str) -> str:
    """An address as proc(5) shows it: words of 32 bits, each in the machine's byte order."""
    words = (int(text[start : start + 8], 16) for start in range(0, len(text), 8))
    packed = b"".join(struct.pack("=I", word) for word in words)
    return str(ipaddress.ip_address(packed))


def _take(port: int, listeners: list[tuple[socket.AddressFamily, str]]) -> socket.socket | None:
    """A socket that gets all new connections of the port; None where that can't be."""
    family, address = listeners[0]
    if any(other != listeners[0] for other in listeners):
        return None  # several addresses, of which each would need its own
    taken = socket.socket(family, socket.SOCK_STREAM)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        taken.bind((address, port))
        taken.listen(128)
        # A filter that always answers with the number of our socket, which joined as the last.
        program = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, len(listeners)))
        taken.setsockopt(
            socket.SOL_SOCKET,
            _SO_ATTACH_REUSEPORT_CBPF,
            struct.pack("@HP", 1, ctypes.addressof(program)),
        )
    except OSError:
        taken.close()
        return None
    return taken


def _serve(taken: socket.socket) -> None:
    while True:
        try:
            connection, _ = taken.accept()
        except OSError:
            return
        threading.Thread(target=_refuse, args=(connection,), daemon=True).start()


def _refuse(connection: socket.socket) -> None:
    """Answer each request with 503, once it is read to its end.

    nginx 1.22 repeats a request incorrectly of which it has sent a part.
    """
    connection.settimeout(PATIENCE)
    with connection, suppress(OSError, EOFError):
        stream = connection.makefile("rb")
        _read(stream, len(PREFACE))
        connection.sendall(
            _frame(_SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW, _LARGEST_WINDOW))
            + _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _LARGEST_WINDOW - 65535))
        )
        while True:
            high, low, kind, flags, number = struct.unpack(">BHBBI", _read(stream, 9))
            _read(stream, (high << 16) + low)
            if kind == _SETTINGS and not flags & _ACK:
                connection.sendall(_frame(_SETTINGS, _ACK, 0))
            elif kind in (_HEADERS, _DATA) and flags & _END_STREAM:
                connection.sendall(_frame(_HEADERS, _END_STREAM | _END_HEADERS, number, _STATUS))


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">BHBBI", 0, len(payload), kind, flags, stream) + payload


def _read(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data
