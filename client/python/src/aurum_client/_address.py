"""Parse a server's URL and open the transport for its scheme."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from aurum_client._headers import check_headers
from aurum_client._text import cut, shown
from aurum_client.transport import Transport

_SCHEMES = {"http": False, "https": True, "grpc": False, "grpcs": True}


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a server; ``target`` is the URL without its scheme."""

    scheme: str
    target: str

    @property
    def secure(self) -> bool:
        """Whether the connection is encrypted."""
        return _SCHEMES[self.scheme]


def parse_url(url: str) -> Address:
    """Parse a server's URL; a bare ``host:port`` means HTTP.

    Raises:
        ValueError: ``url`` is not the URL of a server.
    """
    wrong = f"{shown(url)} is not the URL of a server, such as http://localhost:8000"
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError:
        raise ValueError(wrong) from None  # its message has the whole URL
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"{shown(url)}: the scheme must be one of {', '.join(_SCHEMES)}")
    if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(wrong)
    if port is None and parts.scheme.startswith("grpc"):
        raise ValueError(f"{shown(url)}: gRPC has no default port: add one, as in grpc://host:8001")
    path = parts.path.rstrip("/")
    if path and parts.scheme.startswith("grpc"):
        raise ValueError(f"{shown(url)}: a gRPC URL has no path")
    return Address(parts.scheme, parts.netloc + path)


def open_transport(
    url: str, *, ca_file: str | os.PathLike[str] | None, headers: Mapping[str, str]
) -> Transport:
    """Return the transport for ``url``; it connects on first use.

    Raises:
        ValueError: ``url`` is not the URL of a server, a header cannot be sent, or ``ca_file``
            contains no certificates.
        OSError: ``ca_file`` cannot be read.
    """
    address = parse_url(url)
    check_headers(headers)
    certificates = None if ca_file is None else os.fspath(ca_file)
    tls = _tls_context(certificates) if address.secure else None
    # Imported lazily: both libraries are slow to load, and only one is needed.
    if address.scheme.startswith("grpc"):
        from aurum_client._grpc import GrpcTransport  # noqa: PLC0415

        return GrpcTransport(
            address.target, secure=address.secure, ca_file=certificates, headers=headers
        )
    from aurum_client._http import HttpTransport  # noqa: PLC0415

    return HttpTransport(address.target, tls=tls, headers=headers)


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise ValueError(f"ca_file {shown(ca_file)} has no certificates in PEM format") from error
    except OSError as error:  # ssl's error doesn't name the file
        name = None if ca_file is None else cut(ca_file)
        raise type(error)(error.errno, error.strerror, name) from error
