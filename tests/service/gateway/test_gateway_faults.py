"""The same fault raises the same error in the Python client, over https and over grpcs."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from aurum_client import (
    AccessDeniedError,
    AurumError,
    ConnectionFailedError,
    FaceClient,
    InvalidImageError,
    InvalidRequestError,
    ModelNotFoundError,
    RateLimitError,
    RequestTimeoutError,
    UnavailableError,
)
from aurum_client._address import open_transport
from gateway_world import gateway_for

from aurum.server.ephemeral import free_ports
from benchmarks.common import gateways

SCHEMES = ("https", "grpcs")


def error_of(url: str, photo: bytes, **options) -> AurumError:
    given = {"retries": 0, "timeout": 3, **options}
    with FaceClient(url, **given) as client, pytest.raises(AurumError) as caught:
        client.detect(photo)
    return caught.value


# --- connection faults ---


@contextmanager
def listening(answer) -> Iterator[int]:
    """A port that passes its connections to `answer`."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)

        def serve() -> None:
            while not stop.is_set():
                with suppress(OSError):
                    connection, _ = server.accept()
                    threading.Thread(target=answer, args=(connection, stop), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            thread.join()


def plain(connection: socket.socket, stop: threading.Event) -> None:
    with connection:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def silent(connection: socket.socket, stop: threading.Event) -> None:
    with connection:
        stop.wait(30)


def closing(connection: socket.socket, stop: threading.Event) -> None:
    connection.close()


def tls(certificate: Path, key: Path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2", "http/1.1"])

    def answer(connection: socket.socket, stop: threading.Event) -> None:
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(1)

    return answer


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("authority")
    gateways.certificate(folder)
    return folder


def make_certificate(folder: Path, name: str, *when: str) -> Path:
    """Make a certificate signed by the authority, for another name or another time."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    (folder / "index.txt").write_text("")
    (folder / "serial").write_text("1000\n")
    (folder / "ca.conf").write_text(
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\n"
        "default_md=sha256\npolicy=p\ndefault_days=2\n[p]\ncommonName=supplied\n"
        f"[names]\nsubjectAltName=DNS:{name}\n"
    )
    request = ("req", "-new", "-key", "tls.key", "-out", "o.csr", "-subj", f"/CN={name}")
    openssl(*request)
    openssl(
        *("ca", "-batch", "-config", "ca.conf", "-cert", "ca.crt", "-keyfile", "ca.key"),
        *("-in", "o.csr", "-out", f"{name}.crt", "-extensions", "names", "-notext", *when),
    )
    return folder / f"{name}.crt"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("answer", [plain, closing])
def test_a_server_without_tls(scheme, answer, authority, astronaut):
    with listening(answer) as port:
        error = error_of(f"{scheme}://localhost:{port}", astronaut, ca_file=authority / "ca.crt")
    assert type(error) is ConnectionFailedError


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_connection_closed_after_the_handshake(scheme, authority, astronaut):
    with listening(tls(authority / "tls.crt", authority / "tls.key")) as port:
        error = error_of(f"{scheme}://localhost:{port}", astronaut, ca_file=authority / "ca.crt")
    assert type(error) is ConnectionFailedError


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_port_without_a_server(scheme, authority, astronaut):
    (port,) = free_ports(1)
    error = error_of(f"{scheme}://localhost:{port}", astronaut, ca_file=authority / "ca.crt")
    assert type(error) is ConnectionFailedError


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_server_that_does_not_answer_in_time(scheme, authority, astronaut):
    with listening(silent) as port:
        error = error_of(
            f"{scheme}://localhost:{port}", astronaut, ca_file=authority / "ca.crt", timeout=0.5
        )
    assert type(error) is RequestTimeoutError


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("fault", ["unknown authority", "another name", "expired"])
def test_bad_certificates(scheme, fault, authority, astronaut):
    certificate = {
        "unknown authority": lambda: authority / "tls.crt",
        "another name": lambda: make_certificate(authority, "elsewhere"),
        "expired": lambda: make_certificate(
            authority, "localhost", "-startdate", "200101000000Z", "-enddate", "210101000000Z"
        ),
    }[fault]()
    trusted = {} if fault == "unknown authority" else {"ca_file": authority / "ca.crt"}
    with listening(tls(certificate, authority / "tls.key")) as port:
        error = error_of(f"{scheme}://localhost:{port}", astronaut, **trusted)
    assert type(error) is ConnectionFailedError
    assert any(word in str(error).lower() for word in ("certificate", "hostname"))


# --- errors of the gateway and the service ---


@pytest.fixture(scope="module")
def world(simulated):
    with gateway_for(simulated) as world:
        yield world


def url(world, scheme: str) -> str:
    return world.gateway.url if scheme == "https" else world.gateway.grpc_url


@pytest.mark.parametrize("scheme", SCHEMES)
def test_errors_of_the_gateway_and_the_service(scheme, world, astronaut):
    def ask(photo: bytes = astronaut, key: str = world.key, **options) -> type[AurumError]:
        headers = {"Authorization": f"Bearer {key}"}
        given = {"ca_file": world.ca, "headers": headers, "retries": 0, "timeout": 30}
        with FaceClient(url(world, scheme), **given) as client, pytest.raises(AurumError) as caught:
            client.detect(photo, **options)
        return type(caught.value)

    assert ask(key="x" * 46) is AccessDeniedError
    assert ask(orientation="\udcff") is InvalidRequestError
    assert ask(key="x" * 100_000) is InvalidRequestError  # above the limit of headers
    assert ask(photo=b"no image") is InvalidImageError
    assert ask(photo=bytes(26_000_000)) is InvalidRequestError
    assert ask(detection_size=33) is InvalidRequestError


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_unknown_model(scheme, world, astronaut):
    """Only `models` can cause it: it asks for models that a gateway hides."""
    address, options = url(world, scheme), {"ca_file": world.ca, "headers": world.bearer}

    async def ask() -> list[type[AurumError]]:
        transport = open_transport(address, **options)
        kinds = []
        for question in (
            transport.infer("another", astronaut, {}, None, 30),
            transport.metadata("another"),
        ):
            with pytest.raises(AurumError) as caught:
                await question
            kinds.append(type(caught.value))
        await transport.close()
        return kinds

    assert asyncio.run(ask()) == [ModelNotFoundError, ModelNotFoundError]
    with FaceClient(address, **options) as client:
        assert [model.ready for model in client.models()] == [False] * 5


@pytest.mark.parametrize("scheme", SCHEMES)
def test_too_many_requests(scheme, simulated, astronaut):
    with gateway_for(simulated, rate=1, burst=1) as world:
        headers = {"Authorization": f"Bearer {world.key}"}
        with FaceClient(url(world, scheme), ca_file=world.ca, headers=headers, retries=0) as client:
            errors = []
            for _ in range(6):
                try:
                    client.detect(astronaut)
                except AurumError as error:
                    errors.append(error)
    assert {type(error) for error in errors} == {RateLimitError}
    assert {error.code for error in errors} == {"rate_limited"}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_server_behind_the_gateway(scheme, simulated, astronaut):
    http, grpc = free_ports(2)
    gone = replace(simulated.server.settings, http_port=http, grpc_port=grpc)
    with gateways.running([gone], simulated.server.settings) as made:
        error = error_of(
            made.gateway.url if scheme == "https" else made.gateway.grpc_url,
            astronaut,
            ca_file=made.ca,
            headers={"Authorization": f"Bearer {made.key}"},
        )
    assert type(error) is UnavailableError
