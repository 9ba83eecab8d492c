"""From the settings to nginx's configuration, with no library: the edge's image has none."""

from __future__ import annotations

import os
import pwd
import re
import socket
import string
from collections.abc import Iterable
from pathlib import Path

from aurum import PIPELINES
from aurum.edge import errors
from aurum.errors import OperatorError
from aurum.settings import CHECKOUT, Settings

SOURCE = CHECKOUT / "edge"
MODULES = Path("/usr/lib/nginx/modules")  # Debian's, and those of nginx's own packages

_SERVER = re.compile(r"([A-Za-z0-9._-]+):(\d{1,5}):(\d{1,5})")


class EdgeError(OperatorError, RuntimeError):
    """The edge can't be configured or started; the message says why."""


class _Template(string.Template):
    delimiter = "%"  # nginx's own variables begin with a dollar sign


def servers(settings: Settings) -> list[tuple[str, str]]:
    """Each Triton's HTTP and gRPC address. A name stands for all addresses that it leads to now.

    Raises EdgeError.
    """
    if not settings.edge_servers:
        named = [(settings.host, settings.http_port, settings.grpc_port)]
    else:
        named = [_server(text.strip(), settings) for text in settings.edge_servers.split(",")]
    return [
        (f"{address}:{http}", f"{address}:{grpc}")
        for host, http, grpc in named
        for address in _addresses(host)
    ]


def _server(text: str, settings: Settings) -> tuple[str, int, int]:
    match = _SERVER.fullmatch(text)
    if match is None:
        given = f"AURUM_EDGE_SERVERS={settings.edge_servers!r}"
        raise EdgeError(f"{given}: {text!r} is not host:http_port:grpc_port")
    return match[1], int(match[2]), int(match[3])


def _addresses(host: str) -> list[str]:
    """IPv4 addresses of a name, always in the same order."""
    try:
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise EdgeError(f"AURUM_EDGE_SERVERS: {host} can't be resolved: {error}") from error
    return sorted({str(entry[4][0]) for entry in found})


def write(settings: Settings) -> Path:
    """Write the configuration into `settings.edge_folder`; its path. Raises EdgeError."""
    for name, path in (
        ("AURUM_EDGE_CERTIFICATE", settings.edge_certificate),
        ("AURUM_EDGE_CERTIFICATE_KEY", settings.edge_certificate_key),
        ("AURUM_EDGE_KEYS", settings.edge_keys),
    ):
        if not path.is_file():
            raise EdgeError(
                f"{name}: there is no file {path} (docs/security.md says how to make it)"
            )
    folder = settings.edge_folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in render(settings).items():
        (folder / name).write_text(text)
    return folder / "nginx.conf"


def render(settings: Settings) -> dict[str, str]:
    """The files of the configuration. Raises EdgeError."""
    behind = servers(settings)
    limit = settings.max_body_bytes
    json_limit = min(settings.max_json_bytes, limit)
    table = errors.refusals(limit, json_limit, ", ".join(PIPELINES))
    values = {
        "modules": MODULES,
        "user": _user(),
        "listen": f"{settings.edge_host}:{settings.edge_port}",
        "script": _quoted(SOURCE / "edge.js"),
        "locations": _quoted(SOURCE / "locations" / "*.conf"),
        "keys": _quoted(settings.edge_keys),
        "certificate": _quoted(settings.edge_certificate),
        "certificate_key": _quoted(settings.edge_certificate_key),
        "log": _quoted(settings.edge_log),
        "body_limit": limit,
        "json_limit": json_limit,
        "body_buffer": limit + 4096,
        "rate": settings.edge_rate,
        "burst": settings.edge_burst,
        "connections": settings.edge_connections,
        "client_timeout": settings.edge_client_timeout,
        "server_timeout": settings.edge_server_timeout,
        "models": "|".join(PIPELINES),
        "tries": max(2, len(behind)),
        "http_servers": _upstream((http for http, _ in behind), settings),
        "grpc_servers": _upstream((grpc for _, grpc in behind), settings),
        "error_pages": errors.pages(table),
        "error_locations": errors.locations(table),
    }
    return {
        name: _Template((SOURCE / f"{name}.template").read_text()).substitute(values)
        for name in ("nginx.conf", "key.conf")
    }


def _upstream(addresses: Iterable[str], settings: Settings) -> str:
    rest = f"max_conns={settings.edge_server_connections} max_fails=2 fail_timeout=2s"
    lines = (f"server {address} {rest};" for address in addresses)
    return "\n        ".join(lines)


def _user() -> str:
    """Whom nginx's workers run as: root gives way, any other user stays who they are."""
    if os.geteuid() != 0:
        return ""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return f"user {'www-data' if 'www-data' in names else 'nobody'};"


def _quoted(path: object) -> str:
    text = str(path)
    if re.search(r'["\\$\n]', text):
        raise EdgeError(f"nginx can't have this path: {text!r}")
    return f'"{text}"'
