"""No API key, photo or embedding in any log, whatever is sent and whatever fails."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace

import grpc
import psutil
import pytest
from aurum_client import AurumError, FaceClient
from gateway_world import RAW, World, gateway_for
from typer.testing import CliRunner
from waiting import eventually

from aurum.cli.app import app
from aurum.server.ephemeral import Service, on_free_ports, running
from aurum.server.server import Server
from aurum.settings import Settings
from benchmarks.robustness.hostile.image_bytes import segment
from benchmarks.robustness.hostile.requests import message

INFER = "/v2/models/analyze_faces/infer"
MARK = "MARK-" + secrets.token_hex(16)  # in the photos


def marked(photo: bytes) -> bytes:
    """A JPEG with MARK in its EXIF block and in a comment."""
    return (
        photo[:2]
        + segment(0xE1, b"Exif\0\0" + MARK.encode())
        + segment(0xFE, MARK.encode())
        + photo[2:]
    )


class Secrets:
    """Named values that must not appear."""

    def __init__(self) -> None:
        self.all = {"the mark of a photo": MARK}

    def add(self, name: str, value: str) -> str:
        self.all[f"{name} ({len(self.all)})"] = value
        return value

    def wrong(self, name: str) -> str:
        """A new key in our format that is not valid."""
        return self.add(name, "aurum_" + secrets.token_urlsafe(32))

    def found_in(self, text: str) -> set[str]:
        return {name for name, value in self.all.items() if value in text or coded(value) in text}


def coded(value: str) -> str:
    return base64.b64encode(value.encode()).decode().rstrip("=")[:-2]


@pytest.fixture(scope="module", params=["info", "verbose"])
def service(request, tmp_path_factory) -> Iterator[Service]:
    settings = replace(
        Settings.from_env(), profile="simulated", request_log="all", log_level=request.param
    )
    with running(settings, tmp_path_factory.mktemp("secrets")) as service:
        yield service


@pytest.fixture
def worlds(service) -> Iterator[list[World]]:
    """A gateway, one with low limits, and one without a server."""
    nobody = replace(service, server=Server(on_free_ports(service.settings)))
    with ExitStack() as stack:
        yield [
            stack.enter_context(gateway_for(service, rate=10_000, burst=10_000)),
            stack.enter_context(gateway_for(service, rate=1, burst=1, connections=1)),
            stack.enter_context(gateway_for(nobody)),
        ]


def send_everything(world: World, photo: bytes, hidden: Secrets) -> None:
    """Send valid and broken requests, with keys and marks wherever clients might put them."""
    right = hidden.add("a right key", world.key)
    broken = photo[: len(photo) // 2]
    with world.http(**RAW) as http:
        for path, body, headers in (
            (INFER, photo, {}),
            (INFER, broken, {}),
            (INFER, MARK.encode(), {}),
            (f"{INFER}?key={right}&x={MARK}", photo, {}),
            (f"{INFER}/{right}", photo, {}),
            (f"{INFER}?key={hidden.wrong('a wrong key in a query')}", photo, {}),
            (f"{INFER}?key={right}", photo + bytes(30_000_000), {}),
            (f"/{hidden.wrong('a wrong key in a path')}", photo + bytes(30_000_000), {}),
            (INFER, photo, {"Authorization": f"Bearer {hidden.wrong('a wrong key')}"}),
            (INFER, photo, {"Authorization": f"Token {hidden.wrong('a key as a token')}"}),
            (INFER, photo, {"Authorization": f"Bearer {right} {right}"}),
            (INFER, photo, {"X-Api-Key": hidden.wrong("a key in another header")}),
            (INFER, photo, {"Cookie": f"session={hidden.wrong('a key in a cookie')}"}),
            (INFER, photo, {"Referer": f"https://x/?key={hidden.wrong('a key of a referrer')}"}),
            (INFER, photo, {"X-Request-Id": hidden.wrong("a key as a request's id")}),
            (INFER, photo, {"X-Long": hidden.wrong("a key in a long header") * 300}),
            (f"{INFER}?key={right}", photo, {"Content-Encoding": "gzip"}),
            ("/v2/health/ready?key=" + right, b"", {}),
        ):
            http.post(path, content=body, headers=headers)
        http.get(INFER, auth=("user", hidden.wrong("a key as a password")))
        text = base64.b64encode(photo).decode()
        tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [text]}
        for document in ({"inputs": [tensor]}, {"inputs": [tensor, text]}, [text]):
            http.post(INFER, json=document, headers={"Inference-Header-Content-Length": ""})
    line = hidden.wrong("a key in a malformed header")
    for request in (
        f"POST {INFER} HTTP/1.1\r\nHost: x\r\nAuthorization Bearer {line}\r\n\r\n",
        f"POST {INFER} HTTP/1.1\r\nHost: x\r\nAuthor\0ization: Bearer {line}\r\n\r\n",
        f"POST {INFER}?{line} HTTP/9.1\r\nHost: x\r\n\r\n",
        f"Authorization: Bearer {line}\r\n\r\n",
    ):
        world.raw(request.encode(), enough=1)
    for metadata in (
        (("authorization", f"Bearer {right}"),),
        (("authorization", f"Bearer {hidden.wrong('a wrong key over gRPC')}"),),
        (
            ("x-api-key", hidden.wrong("another field of gRPC")),
            ("authorization", f"Bearer {right}"),
        ),
    ):
        ask(world, photo, metadata)
    for protocol in ("http", "grpc"):
        with world.client(protocol) as client, suppress(AurumError):
            client.analyze(photo, min_confidence=7)


def ask(world: World, photo: bytes, metadata) -> None:
    credentials = grpc.ssl_channel_credentials(world.ca.read_bytes())
    with grpc.secure_channel(
        world.gateway.grpc_url.removeprefix("grpcs://"), credentials
    ) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with suppress(grpc.RpcError):
            infer(
                message("analyze_faces", photo).SerializeToString(), metadata=metadata, timeout=60
            )


def test_no_log_and_no_command_line_holds_a_secret(service, worlds, astronaut):
    hidden, photo = Secrets(), marked(astronaut)
    for world in worlds:
        send_everything(world, photo, hidden)
    with FaceClient(service.urls[0]) as client:
        face = client.analyze(photo)[0]
    numbers = [f"{value:.5f}".rstrip("0") for value in face.embedding[:8] if abs(value) > 0.001]
    assert len(hidden.all) > 40
    seen = {"tritonserver": service.server.log.read_text(errors="replace")}
    for number, world in enumerate(worlds):
        eventually(lambda world=world: len(world.gateway.access()) > 20)
        seen[f"access {number}"] = "\n".join(world.gateway.access())
        seen[f"error {number}"] = world.gateway.log.read_text(errors="replace")
    for owner in (service.server.pid, *(world.gateway.pid for world in worlds)):
        for process in (psutil.Process(owner), *psutil.Process(owner).children(recursive=True)):
            seen[f"command {process.pid}"] = " ".join(process.cmdline())
            seen[f"environment {process.pid}"] = json.dumps(process.environ())
    leaks = {name: hidden.found_in(text) for name, text in seen.items()}
    assert {name: found for name, found in leaks.items() if found} == {}
    assert not [name for name in seen if any(number in seen[name] for number in numbers)]
    # The logs are not empty, the error logs included.
    assert seen["tritonserver"].count('"event": "request"') > 10
    assert "too large body" in seen["error 0"]
    assert "limiting requests" in seen["error 1"]
    assert "connect() failed" in seen["error 2"]


def test_the_key_of_tritons_closed_apis_is_not_logged(service):
    """It is in the command line, the only way to pass it to Triton (docs/guides/security.md)."""
    [key] = set(
        re.findall(r"aurum-key=(\S+)", " ".join(psutil.Process(service.server.pid).cmdline()))
    )
    assert len(key) >= 32
    assert key not in service.server.log.read_text(errors="replace")


def test_key_commands_show_a_key_once(tmp_path, monkeypatch):
    monkeypatch.setenv("AURUM_GATEWAY_KEYS", str(tmp_path / "keys"))

    def aurum(*arguments: str) -> str:
        shown = CliRunner().invoke(app, ["gateway", "keys", *arguments])
        assert shown.exit_code == 0, shown.output
        return shown.output

    key = re.search(r"aurum_\S+", aurum("add", "one"))[0]
    assert key not in aurum("add", "one")
    assert key not in aurum("list")
    assert key not in (tmp_path / "keys").read_text()
    assert key not in aurum("remove", "one")
