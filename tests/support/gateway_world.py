"""Helpers for gateway tests: a gateway for each test, and clients down to raw sockets."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import psutil
import pytest
from aurum_client import AurumError, FaceClient
from waiting import eventually

from aurum.gateway import run
from aurum.server.ephemeral import Service, on_free_ports
from aurum.server.server import Server
from aurum.settings import Settings
from benchmarks.common import gateways

RAW = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": "0"}
INFER = "/v2/models/detect_faces/infer"
SERVICE = "/inference.GRPCInferenceService/"


@dataclass(frozen=True)
class World(gateways.Running):
    """A running gateway, and ways to send requests to it."""

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
        url = self.gateway.grpc_url if protocol == "grpc" else self.gateway.url
        given = {"headers": self.bearer, "retries": 0, "timeout": 60, **options}
        return FaceClient(url, ca_file=self.ca, **given)

    def http(self, **headers: str) -> httpx.Client:
        """Return a plain HTTP/1.1 client with the key; it sends `headers` with each request."""
        context = ssl.create_default_context(cafile=self.ca)
        given = {**self.bearer, **headers}
        return httpx.Client(
            base_url=self.gateway.url, verify=context, headers=given, timeout=60, trust_env=False
        )

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.gateway.access()]

    def ids(self) -> list[str]:
        """The request ids in the log."""
        return [line["request_id"] for line in self.log()]

    def serial(self) -> str:
        """The serial number of the certificate that the gateway presents now."""
        with self.socket() as connection:
            return connection.getpeercert()["serialNumber"]

    @contextmanager
    def socket(self, context: ssl.SSLContext | None = None) -> Iterator[ssl.SSLSocket]:
        context = context or ssl.create_default_context(cafile=self.ca)
        address = (self.gateway.settings.gateway_host, self.gateway.settings.gateway_port)
        with (
            socket.create_connection(address, timeout=30) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            yield secure

    def raw(self, request: bytes, enough: int = 1000) -> list[Answer]:
        """Send bytes on one connection; return `enough` answers, or all until it is closed."""
        with self.socket() as connection:
            connection.sendall(request)
            received = b""
            try:
                while len(answers(received)) < enough and (chunk := connection.recv(65536)):
                    received += chunk
            except (ConnectionResetError, ssl.SSLEOFError):
                pass  # reset by the server after its last answer
        return answers(received)

    def curl(self, path: str, *arguments: str) -> tuple[int, str, str]:
        """Request a path with curl; return status, body and HTTP version."""
        result = subprocess.run(
            ["curl", "-s", "--cacert", self.ca, "-w", "\n%{http_code} %{http_version}",
             "-H", f"Authorization: Bearer {self.key}", *arguments, self.gateway.url + path],
            capture_output=True, check=True,
        )  # fmt: skip
        body, _, end = result.stdout.decode(errors="replace").rpartition("\n")
        status, version = end.split()
        return int(status), body, version

    def call(self, method: str, message: bytes, *arguments: str) -> tuple[int | None, str]:
        """Make a gRPC call with curl that no gRPC client would make; return its status and message.

        `message` is sent as it is, including the five-byte prefix. The status is None if the
        answer is not gRPC.
        """
        shown = subprocess.run(
            ["curl", "-s", "--http2", "--cacert", self.ca, "-D", "-", "-o", "/dev/null",
             "-H", "TE: trailers", *arguments, "--data-binary", "@-",
             self.gateway.url + SERVICE + method],
            input=message, capture_output=True, check=False,
        )  # fmt: skip
        lines = shown.stdout.decode("latin-1").split("\r\n")
        found = dict(line.split(": ", 1) for line in lines if ": " in line)
        status = found.get("grpc-status")
        return None if status is None else int(status), found.get("grpc-message", "")

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.gateway.pid).children()

    def cpu(self) -> float:
        """CPU time of nginx's workers so far, in seconds."""
        return sum(sum(worker.cpu_times()[:2]) for worker in self.workers())


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
    """Parse all complete HTTP/1.1 answers in these bytes; each has a Content-Length."""
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


def not_running(settings: Settings | None = None) -> Service:
    """A service that isn't started; by default its ports are free."""
    return Service(Server(settings or on_free_ports(Settings())), None)  # type: ignore[arg-type]


@contextmanager
def gateway_for(*services: Service, **changes: Any) -> Iterator[World]:
    """Run a gateway in front of these servers; `changes` are settings without their `gateway_`."""
    if not run.installed():
        pytest.skip("no nginx with njs: apt-get install nginx libnginx-mod-http-js")
    limits = replace(Settings(), **{f"gateway_{key}": value for key, value in changes.items()})
    with gateways.running([service.settings for service in services], limits) as made:
        yield World(made.gateway, made.ca, made.key)


@contextmanager
def load(world: World, photo: bytes, headers) -> Iterator[list[int]]:
    """Keep two clients sending; yield the growing list of status codes."""
    statuses: list[int] = []
    stop = threading.Event()

    def send() -> None:
        # A reload closes idle connections, maybe just when one is reused, which is not a
        # failure (RFC 9112, 9.3.1): so each request opens its own connection.
        with world.http(**RAW, Connection="close") as http:
            while not stop.is_set():
                statuses.append(http.post(INFER, content=photo, headers=headers()).status_code)

    with ThreadPoolExecutor(2) as pool:
        senders = [pool.submit(send) for _ in range(2)]
        try:
            wait_for_more(statuses, 2)
            yield statuses
        finally:
            stop.set()
        for sender in senders:
            sender.result()


def wait_for_more(results: Sequence[object], count: int) -> None:
    target = len(results) + count
    eventually(lambda: len(results) >= target)


def failure(client: FaceClient, photo: bytes) -> AurumError | None:
    try:
        client.detect(photo)
    except AurumError as error:
        return error
    return None
