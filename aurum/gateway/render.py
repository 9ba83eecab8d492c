"""Render nginx's configuration from the settings, with only the standard library."""

from __future__ import annotations

import os
import pwd
import re
import socket
import string
from collections.abc import Callable, Iterable
from pathlib import Path

from aurum import files
from aurum.contract import PIPELINES
from aurum.errors import OperatorError
from aurum.gateway import errors
from aurum.gateway.errors import joined
from aurum.settings import Settings

SOURCE = Path(__file__).with_name("templates")
MODULES = Path("/usr/lib/nginx/modules")  # in Debian's and in nginx's own packages

FILES = ("nginx.conf", "key.conf", "look.conf", "health.conf", "grpc.conf", "errors.conf")
# Metadata that gRPC's clients send, or that its servers interpret (grpc/grpc,
# src/core/call/metadata_batch.h); nginx sets grpc-timeout itself.
DROPPED_METADATA = (
    "grpc-encoding",
    "grpc-accept-encoding",
    "grpc-internal-encoding-request",
    "grpc-previous-rpc-attempts",
    "grpc-retry-pushback-ms",
    "grpc-status",
    "grpc-message",
    "grpc-tags-bin",
    "grpc-trace-bin",
    "grpc-server-stats-bin",
    "endpoint-load-metrics-bin",
    "lb-cost-bin",
    "lb-token",
)

_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5}):(\d{1,5})")


class GatewayError(OperatorError, RuntimeError):
    """The gateway can't be configured or started; the message says why."""


class _Template(string.Template):
    delimiter = "%"  # nginx's own variables begin with a dollar sign


Addresses = list[tuple[str, str]]


def servers(settings: Settings, lookup: Callable[[str], list[str]] | None = None) -> Addresses:
    """Each Triton's HTTP and gRPC address. A name stands for all addresses that it resolves to now.

    `lookup` resolves names in place of the default, which raises GatewayError where it can't.
    """
    if not settings.gateway_servers:
        named = [(settings.host, settings.http_port, settings.grpc_port)]
    else:
        named = [_server(text.strip(), settings) for text in settings.gateway_servers.split(",")]
    return [
        (f"{address}:{http}", f"{address}:{grpc}")
        for host, http, grpc in named
        for address in (lookup or addresses)(bare(host))
    ]


class Lookup:
    """Resolves names, and remembers their addresses for when they can't be resolved.

    A name that never resolved has none: the gateway then starts without it, and answers 503 where
    there is no other server.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._known: dict[str, list[str]] = {}
        self._missing: set[str] = set()

    def __call__(self, host: str) -> list[str]:
        """The addresses of `host`; the last known ones where it can't be resolved."""
        try:
            self._known[host] = addresses(host)
            self._missing.discard(host)
        except GatewayError as error:
            if host not in self._missing:  # once, not at each look-up
                self._say(str(error))
                self._missing.add(host)
        return self._known.get(host, [])


def bare(host: str) -> str:
    """Return an IPv6 address without its brackets, and any other host unchanged."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def bracketed(host: str) -> str:
    """Return a host as written before a port: an IPv6 address in brackets."""
    return f"[{bare(host)}]" if ":" in host else host


def _server(text: str, settings: Settings) -> tuple[str, int, int]:
    match = _SERVER.fullmatch(text)
    if match is None:
        given = f"AURUM_GATEWAY_SERVERS={settings.gateway_servers!r}"
        raise GatewayError(f"{given}: {text!r} is not host:http_port:grpc_port")
    return match[1], int(match[2]), int(match[3])


def addresses(host: str) -> list[str]:
    """IPv4 addresses of a name, else those of IPv6, always in the same order.

    Not both: they often belong to one server, which may listen on only one of them.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise GatewayError(f"AURUM_GATEWAY_SERVERS: {host} can't be resolved: {error}") from error
    four = {str(entry[4][0]) for entry in found if entry[0] == socket.AF_INET}
    six = {str(entry[4][0]) for entry in found if entry[0] == socket.AF_INET6}
    return [bracketed(address) for address in sorted(four or six)]


def write(settings: Settings, behind: Addresses | None = None) -> Path:
    """Write the configuration into `settings.gateway_folder`; its path. Raises GatewayError."""
    for name, path in (
        ("AURUM_GATEWAY_CERTIFICATE", settings.gateway_certificate),
        ("AURUM_GATEWAY_CERTIFICATE_KEY", settings.gateway_certificate_key),
        ("AURUM_GATEWAY_KEYS", settings.gateway_keys),
    ):
        if not path.is_file():
            raise GatewayError(
                f"{name}: there is no file {path} (docs/guides/security.md shows how to create it)"
            )
    folder = settings.gateway_folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in render(settings, behind).items():
        with files.naming(folder / name):
            (folder / name).write_text(text)
    return folder / "nginx.conf"


def render(settings: Settings, behind: Addresses | None = None) -> dict[str, str]:
    """The files of the configuration for the servers `behind` it; None: :func:`servers`.

    Raises GatewayError.
    """
    behind = servers(settings) if behind is None else behind
    http, grpc = [one for one, _ in behind], [other for _, other in behind]
    full = f"max_conns={settings.gateway_server_connections}"
    limit = settings.max_body_bytes
    json_limit = min(settings.max_json_bytes, limit)
    table = errors.refusals(limit, json_limit, ", ".join(PIPELINES))
    values = {
        "modules": MODULES,
        "user": _user(),
        "listen": _listen(settings),
        "real_address": _real_address(settings),
        "trusted": joined(f"{network} 1;" for network in _listed(settings.gateway_trusted)),
        "script": _quoted(SOURCE / "gateway.js"),
        "locations": _quoted(settings.gateway_locations / "*.conf"),
        "keys": _quoted(settings.gateway_keys),
        "certificate": _quoted(settings.gateway_certificate),
        "certificate_key": _quoted(settings.gateway_certificate_key),
        "log": _quoted(settings.gateway_log),
        "body_limit": limit,
        "json_limit": json_limit,
        "body_buffer": limit + 4096,
        "rate": settings.gateway_rate,
        "burst": settings.gateway_burst,
        "connections": settings.gateway_connections,
        "client_timeout": settings.gateway_client_timeout,
        "server_timeout": settings.gateway_server_timeout,
        "models": "|".join(PIPELINES),
        "tries": max(2, len(behind)),
        "http_servers": _upstream(http, f"{full} max_fails=2 fail_timeout=2s"),
        "grpc_servers": _upstream(grpc, f"{full} max_fails=2 fail_timeout=2s"),
        "http_health": _upstream(http, "max_fails=0"),
        "grpc_health": _upstream(grpc, "max_fails=0"),
        "dropped_metadata": " ".join(("grpc-timeout", *DROPPED_METADATA)),
        "grpc_dropped": joined(f'grpc_set_header {name} "";' for name in DROPPED_METADATA),
        "traced": _traced(settings),
        "error_pages": errors.pages(table),
        "error_locations": errors.locations(table),
    }
    return {
        name: _Template((SOURCE / f"{name}.template").read_text()).substitute(values)
        for name in FILES
    }


def _traced(settings: Settings) -> str:
    """The parts of nginx's split_clients: 1 for one request in `settings.trace_rate`.

    nginx counts in hundredths of a percent, so it is one in 10,000 at least.
    """
    if not settings.trace_url:
        return '* "";'
    return f'{max(100 / settings.trace_rate, 0.01):.2f}% 1; * "";'


def _upstream(behind: Iterable[str], rest: str) -> str:
    """The servers of an upstream; nginx wants one at least, so one that is never asked."""
    return joined(f"server {address} {rest};" for address in behind) or "server 127.0.0.1:9 down;"


def _listed(text: str) -> list[str]:
    return text.split(",") if text else []


def _listen(settings: Settings) -> str:
    host = bare(settings.gateway_host)
    everywhere = host == "::"
    if everywhere and not has_ipv6():
        host, everywhere = "0.0.0.0", False  # noqa: S104 - what the setting asks for
    words = [f"{bracketed(host)}:{settings.gateway_port} ssl http2"]
    if everywhere:
        words.append("ipv6only=off")
    if settings.gateway_client_address == "proxy-protocol":
        words.append("proxy_protocol")
    return " ".join(words)


def has_ipv6() -> bool:
    """Whether this machine, or container, has IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _real_address(settings: Settings) -> str:
    """Return directives that take the client's address from what a load balancer reports."""
    if settings.gateway_client_address == "connection":
        return ""
    if not settings.gateway_balancers:
        given = f"AURUM_GATEWAY_CLIENT_ADDRESS={settings.gateway_client_address}"
        raise GatewayError(f"{given}: AURUM_GATEWAY_BALANCERS must list the trusted balancers")
    header = settings.gateway_client_address.replace("proxy-protocol", "proxy_protocol")
    balancers = (f"set_real_ip_from {network};" for network in _listed(settings.gateway_balancers))
    return joined([*balancers, f"real_ip_header {header};", "real_ip_recursive on;"])


def _user() -> str:
    """Return the user directive of nginx's workers: unprivileged if we are root, else empty."""
    if os.geteuid() != 0:
        return ""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return f"user {'www-data' if 'www-data' in names else 'nobody'};"


def _quoted(path: object) -> str:
    text = str(path)
    if re.search(r'["\\$\n]', text):
        raise GatewayError(f"nginx can't have this path: {text!r}")
    return f'"{text}"'
