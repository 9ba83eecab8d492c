"""HTTP/2 frames on a socket (RFC 9113), for what gRPC's own clients don't do: pings at will."""

from __future__ import annotations

import socket
import struct

HEADERS, SETTINGS, PING, GOAWAY = 1, 4, 6, 7  # types of frames
ACK, END_HEADERS = 1, 4  # flags
ENHANCE_YOUR_CALM = 11  # an error code


class Connection:
    """An HTTP/2 connection over a connected socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self._send(SETTINGS)

    def open_call(self, path: str) -> None:
        """Begin a gRPC call and leave it open."""
        fields = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": "localhost",
            "content-type": "application/grpc",
            "te": "trailers",
        }
        # Literal fields, neither indexed nor compressed (RFC 7541, section 6.2.2).
        block = b"".join(
            b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
            for name, value in fields.items()
        )
        self._send(HEADERS, END_HEADERS, 1, block)

    def ping(self) -> tuple[int, str] | None:
        """Ping; return None once it is answered, or the code and the reason of a GOAWAY."""
        self._send(PING, payload=bytes(8))
        while True:
            kind, flags, payload = self._receive()
            if kind == PING and flags & ACK:
                return None
            if kind == PING:
                self._send(PING, ACK, payload=payload)
            if kind == SETTINGS and not flags & ACK:
                self._send(SETTINGS, ACK)
            if kind == GOAWAY:
                return struct.unpack(">I", payload[4:8])[0], payload[8:].decode()

    def _send(self, kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> None:
        length = struct.pack(">I", len(payload))[1:]
        self._socket.sendall(length + bytes([kind, flags]) + struct.pack(">I", stream) + payload)

    def _receive(self) -> tuple[int, int, bytes]:
        head = self._read(9)
        return head[3], head[4], self._read(int.from_bytes(head[:3], "big"))

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise EOFError("the server closed the connection")
            data += part
        return data
