"""Refusing a gRPC port's new connections, with a listener in tritonserver's place."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from aurum.server import closed_port


@pytest.fixture
def listener():
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(("127.0.0.1", 0))
        made.listen()
        made.settimeout(0.1)
        yield made


def status(port: int, body: bytes) -> str:
    command = ["curl", "-s", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary",
               "@-", "--http2-prior-knowledge", f"http://127.0.0.1:{port}/x"]  # fmt: skip
    return subprocess.run(command, input=body, capture_output=True, check=False).stdout.decode()


def test_a_request_is_read_to_its_end_and_refused_by_503(listener):
    """Also one that is larger than HTTP/2's first window, as photos are."""
    port = listener.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)) as old:
        accepted, _ = listener.accept()
        with closed_port.closed(port) as works, accepted:
            assert works
            for body in (b"x", b"x" * 300_000):
                assert status(port, body) == "503"
            with pytest.raises(TimeoutError):
                listener.accept()
            old.sendall(b"still here")
            assert accepted.recv(10) == b"still here"
    with socket.create_connection(("127.0.0.1", port)):
        listener.accept()[0].close()  # as before


def test_where_nothing_listens_nothing_is_closed():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        with closed_port.closed(probe.getsockname()[1]) as works:
            assert not works


def test_a_port_that_is_not_shared_stays_as_it_is(listener):
    with socket.create_server(("127.0.0.1", 0)) as alone:
        port = alone.getsockname()[1]
        with closed_port.closed(port) as works:
            assert not works
            with socket.create_connection(("127.0.0.1", port)):
                alone.accept()[0].close()


@pytest.mark.skipif(sys.byteorder != "little", reason="addresses are shown in the machine's order")
@pytest.mark.parametrize(
    ("shown", "address"),
    [
        ("0100007F", "127.0.0.1"),
        ("00000000000000000000000000000000", "::"),
        ("0000000000000000FFFF00000100007F", "::ffff:7f00:1"),
    ],
)
def test_addresses_are_read_as_the_kernel_shows_them(shown, address):
    assert closed_port._address(shown) == address
