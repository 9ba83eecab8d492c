"""Render nginx's configuration from the settings, with only the standard library."""

from __future__ import annotations

import os
import pwd
import re
import socket
import string
from collections.abc import Iterable
from pathlib import Path

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


def servers(settings: Settings) -> list[tuple[str, str]]:
    """Return each Triton's HTTP and gRPC address; a host name gives all its current addresses.

    Raises GatewayError.
    """
    if not settings.gateway_servers:
        named = [(settings.host, settings.http_port, settings.grpc_port)]
    else:
        named = [_server(text.strip(), settings) for text in settings.gateway_servers.split(",")]
    return [
        (f"{address}:{http}", f"{address}:{grpc}")
        for host, http, grpc in named
        for address in _addresses(bare(host))
    ]


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


def _addresses(host: str) -> list[str]:
    """Return the IPv4 addresses of a name, or else its IPv6 addresses, sorted.

    Not both: they often belong to one server, which may listen on only one of them.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise GatewayError(f"AURUM_GATEWAY_SERVERS: {host} can't be resolved: {error}") from error
    four = {str(entry[4][0]) for entry in found if entry[0] == socket.AF_INET}
    six = {str(entry[4][0]) for entry in found if entry[0] == socket.AF_INET6}
    return [bracketed(address) for address in sorted(four or six)]


def write(settings: Settings) -> Path:
    """Write the configuration to `settings.gateway_folder`; return its path.

    Raises GatewayError.
    """
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
    for name, text in render(settings).items():
        (folder / name).write_text(text)
    return folder / "nginx.conf"


def render(settings: Settings) -> dict[str, str]:
    """Return the configuration's files by name. Raises GatewayError."""
    behind = servers(settings)
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
        "error_pages": errors.pages(table),
        "error_locations": errors.locations(table),
    }
    return {
        name: _Template((SOURCE / f"{name}.template").read_text()).substitute(values)
        for name in FILES
    }


def _upstream(addresses: Iterable[str], rest: str) -> str:
    return joined(f"server {address} {rest};" for address in addresses)


def _listed(text: str) -> list[str]:
    return text.split(",") if text else []


def _listen(settings: Settings) -> str:
    words = [f"{bracketed(settings.gateway_host)}:{settings.gateway_port} ssl http2"]
    if bare(settings.gateway_host) == "::":
        words.append("ipv6only=off")
    if settings.gateway_client_address == "proxy-protocol":
        words.append("proxy_protocol")
    return " ".join(words)


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
