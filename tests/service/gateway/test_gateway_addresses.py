"""Addresses of the gateway, servers and clients: IPv6, and load balancers before the gateway."""

from __future__ import annotations

import socket
import ssl
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aurum_client import FaceClient
from gateway_world import World, gateway_for
from waiting import eventually

from aurum.gateway import run

HEALTH = "/v2/health/ready"
THEIRS = "203.0.113.7"  # RFC 5737


@pytest.fixture(scope="module")
def ipv6() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")


@pytest.mark.usefixtures("ipv6")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_the_gateway_listens_on_an_ipv6_address(simulated, host):
    with gateway_for(simulated, host=host) as world:
        assert world.gateway.url.startswith("https://[::1]:")
        assert world.curl(HEALTH, "-k")[0] == 200


@pytest.mark.usefixtures("ipv6")
def test_two_colons_mean_all_addresses_of_both_kinds(simulated, astronaut):
    with gateway_for(simulated, host="::") as world:
        assert world.curl(HEALTH, "-k")[0] == 200
        for scheme in ("https", "grpcs"):
            url = f"{scheme}://127.0.0.1:{world.gateway.settings.gateway_port}"
            with FaceClient(url, ca_file=world.ca, headers=world.bearer) as client:
                assert len(client.detect(astronaut)) == 1


class OnIPv6(ThreadingHTTPServer):
    """A server on ::1 that always says yes; the test needs only to know whether it is reached."""

    address_family = socket.AF_INET6
    daemon_threads = True


class Yes(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.mark.usefixtures("ipv6")
def test_a_server_on_an_ipv6_address_is_reached(simulated):
    with OnIPv6(("::1", 0), Yes) as server, gateway_for(simulated) as world:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        settings = world.gateway.settings
        run.reload(replace(settings, gateway_servers=f"[::1]:{port}:{port}"))
        address = f"[::1]:{port}"
        eventually(lambda: world.curl(HEALTH)[0] == 200 and address in str(world.gateway.access()))
        server.shutdown()


def flooded(world: World, **headers: str) -> bool:
    """Return whether 90 requests without a key exceed the limit."""
    with world.http(Authorization="", **headers) as stranger:
        return 429 in {stranger.get(HEALTH).status_code for _ in range(90)}


def test_a_balancers_header_identifies_the_client_to_limit(simulated):
    given = {"client_address": "x-forwarded-for", "trusted": THEIRS}
    forwarded = {"X-Forwarded-For": f"198.51.100.1, {THEIRS}"}
    with gateway_for(simulated, **given, balancers="127.0.0.0/8") as world:
        assert not flooded(world, **forwarded)
        assert flooded(world)
    # From an address that is not a balancer it has no meaning.
    with gateway_for(simulated, **given, balancers="10.0.0.0/8") as world:
        assert flooded(world, **forwarded)


def test_the_proxy_protocol_identifies_the_client_too(simulated):
    given = {"client_address": "proxy-protocol", "balancers": "127.0.0.0/8"}
    with gateway_for(simulated, **given) as world:

        def ask(lines: str) -> bytes:
            address = (world.gateway.settings.gateway_host, world.gateway.settings.gateway_port)
            with socket.create_connection(address, timeout=30) as plain:
                plain.sendall(f"PROXY TCP4 {THEIRS} 127.0.0.1 56324 443\r\n".encode())
                context = ssl.create_default_context(cafile=world.ca)
                with context.wrap_socket(plain, server_hostname="localhost") as secure:
                    secure.sendall(f"GET {HEALTH} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
                    return secure.recv(4000)

        assert b" 200 OK" in ask("")
        assert b" 413 " in ask("Content-Length: 7\r\n")
        eventually(lambda: f"client: {THEIRS}," in world.gateway.log.read_text())
