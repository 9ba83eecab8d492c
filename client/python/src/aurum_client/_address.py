"""Parse a server's URL and open the transport for its scheme."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from aurum_client.transport import Transport

_SCHEMES = {"http": False, "https": True, "grpc": False, "grpcs": True}
# What both protocols can carry. gRPC rejects other characters, and HTTP servers interpret them
# differently.
_HEADER_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_HEADER_VALUE = re.compile(r"[ -~]*")


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
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"{url!r}: the scheme must be one of {', '.join(_SCHEMES)}")
    if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"{url!r} is not the URL of a server, such as http://localhost:8000")
    if parts.port is None and parts.scheme.startswith("grpc"):
        raise ValueError(f"{url!r}: gRPC has no default port: add one, as in grpc://localhost:8001")
    path = parts.path.rstrip("/")
    if path and parts.scheme.startswith("grpc"):
        raise ValueError(f"{url!r}: a gRPC URL has no path")
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
    _check_headers(headers)
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


def _check_headers(headers: Mapping[str, str]) -> None:
    # Error messages leave out the value: it may be a key.
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"header {name!r}: a name may contain letters, digits, '-', '_', '.'")
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(
                f"header {name!r}: the value must be printable ASCII without line breaks"
            )


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise ValueError(f"ca_file {ca_file!r} has no certificates in PEM format") from error
    except OSError as error:  # ssl's error doesn't name the file
        raise type(error)(error.errno, error.strerror, ca_file) from error
