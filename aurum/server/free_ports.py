"""Ports for a server that must not meet another one."""

from __future__ import annotations

import socket
from dataclasses import replace

from aurum.settings import Settings


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Ports that nobody uses: all are held until the last is chosen."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind((host, 0))
        return [int(item.getsockname()[1]) for item in sockets]
    finally:
        for item in sockets:
            item.close()


def on_free_ports(settings: Settings) -> Settings:
    """The same settings, on loopback and free ports."""
    http, grpc, metrics = free_ports(3)
    return replace(settings, host="127.0.0.1", http_port=http, grpc_port=grpc, metrics_port=metrics)
