"""What tests of the edge need: a certificate authority, an edge of its own, raw sockets."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from aurum_client import FaceClient

from aurum.edge import keys
from aurum.edge.run import Edge
from aurum.server.private import Service, free_ports
from aurum.settings import Settings


@dataclass(frozen=True)
class World:
    """A running edge, the authority that its certificate is from, and a key for it."""

    edge: Edge
    ca: Path
    key: str

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def head(self) -> str:
        """Header lines of an ordinary request for raw sockets, without a length."""
        return (
            f"Host: localhost\r\nAuthorization: Bearer {self.key}\r\n"
            "Content-Type: application/octet-stream\r\nInference-Header-Content-Length: 0\r\n"
        )

    def client(self, protocol: str, **options: Any) -> FaceClient:
        url = self.edge.grpc_url if protocol == "grpc" else self.edge.url
        given = {"headers": self.bearer, "retries": 0, "timeout": 60, **options}
        return FaceClient(url, ca_file=self.ca, **given)

    def http(self, **headers: str) -> httpx.Client:
        """A plain HTTP/1.1 client with the key; `headers` go with each request."""
        context = ssl.create_default_context(cafile=self.ca)
        given = {**self.bearer, **headers}
        return httpx.Client(
            base_url=self.edge.url, verify=context, headers=given, timeout=60, trust_env=False
        )

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.edge.access()]

    @contextmanager
    def socket(self, context: ssl.SSLContext | None = None) -> Iterator[ssl.SSLSocket]:
        context = context or ssl.create_default_context(cafile=self.ca)
        address = (self.edge.settings.edge_host, self.edge.settings.edge_port)
        with (
            socket.create_connection(address, timeout=30) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            yield secure

    def raw(self, request: bytes, enough: int = 1000) -> list[Answer]:
        """The answers on one connection to these bytes: `enough`, or all until it is closed."""
        with self.socket() as connection:
            connection.sendall(request)
            received = b""
            try:
                while len(answers(received)) < enough and (chunk := connection.recv(65536)):
                    received += chunk
            except (ConnectionResetError, ssl.SSLEOFError):
                pass  # closed by force, after what it had to say
        return answers(received)

    def curl(self, path: str, *arguments: str) -> tuple[int, str, str]:
        """Status, body and HTTP version, by curl."""
        result = subprocess.run(
            ["curl", "-s", "--cacert", self.ca, "-w", "\n%{http_code} %{http_version}",
             "-H", f"Authorization: Bearer {self.key}", *arguments, self.edge.url + path],
            capture_output=True, check=True,
        )  # fmt: skip
        body, _, end = result.stdout.decode(errors="replace").rpartition("\n")
        status, version = end.split()
        return int(status), body, version


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        """The message of a JSON error."""
        assert self.headers["content-type"] == "application/json"
        content = json.loads(self.body)
        assert list(content) == ["error"]
        return str(content["error"])


def answers(received: bytes) -> list[Answer]:
    """The whole HTTP/1.1 answers in these bytes, each with a Content-Length."""
    found = []
    while b"\r\n\r\n" in received:
        head, _, rest = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in pairs}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            break
        found.append(Answer(int(first.split()[1]), headers, rest[:length]))
        received = rest[length:]
    return found


def certificate(folder: Path) -> None:
    """ca.crt, tls.crt and tls.key for localhost, by openssl; anew if called again."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    if not (folder / "ca.crt").exists():
        openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test")
    openssl("req", *new[:-2], "-keyout", "tls.key", "-out", "tls.csr", "-subj", "/CN=localhost")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    openssl("x509", "-req", "-in", "tls.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "2",
            "-out", "tls.crt", "-extfile", "names")  # fmt: skip


@contextmanager
def edge_before(*services: Service, **changes: Any) -> Iterator[World]:
    """An edge before these servers; `changes` are settings, without their `edge_`."""
    # Not pytest's folder, which nginx's workers, another user, can't enter where root runs tests.
    with tempfile.TemporaryDirectory(prefix="aurum-edge-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        certificate(folder)
        behind = (item.settings for item in services)
        settings = replace(
            Settings(),
            edge_port=free_ports(1)[0],
            edge_servers=",".join(f"{s.host}:{s.http_port}:{s.grpc_port}" for s in behind),
            edge_certificate=folder / "tls.crt",
            edge_certificate_key=folder / "tls.key",
            edge_keys=folder / "keys",
            edge_folder=folder / "run",
            edge_log=str(folder / "access.log"),
            **{f"edge_{key}": value for key, value in changes.items()},
        )
        key = keys.add(settings.edge_keys, "test")
        with Edge(settings) as edge:
            yield World(edge, folder / "ca.crt", key)
