"""A client can't replace the gateway's request id, and nothing it writes is logged raw."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from dataclasses import replace

import grpc
import pytest
from gateway_world import RAW, World, gateway_for
from waiting import eventually

from aurum.paths import PHOTO
from aurum.server.ephemeral import Service, running
from aurum.settings import Settings
from benchmarks.robustness.hostile.requests import message

INFER = "/v2/models/analyze_faces/infer"
KEY = "aurum_" + secrets.token_urlsafe(32)
OURS = ("x-request-id", "X-Request-ID", "x-aurum-deadline")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Iterator[tuple[World, Service]]:
    settings = replace(Settings.from_env(), profile="simulated", request_log="all")
    with (
        running(settings, tmp_path_factory.mktemp("ids")) as service,
        gateway_for(service, rate=10_000, burst=10_000) as world,
    ):
        yield world, service


def document(**changes: object) -> dict[str, object]:
    data = [base64.b64encode(PHOTO.read_bytes()).decode()]
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": data}
    return {"inputs": [tensor], **changes}


def post(world: World, body: bytes, **headers: str) -> str:
    """The error message of the refusal."""
    with world.http(**headers) as http:
        answer = http.post(INFER, content=body)
    assert answer.status_code == 400, answer.text[:200]
    return str(answer.json()["error"])


def call(world: World, request: object) -> grpc.RpcError | None:
    credentials = grpc.ssl_channel_credentials(world.ca.read_bytes())
    with grpc.secure_channel(
        world.gateway.grpc_url.removeprefix("grpcs://"), credentials
    ) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        try:
            metadata = (("authorization", f"Bearer {world.key}"), ("x-request-id", "mine"))
            infer(request.SerializeToString(), metadata=metadata, timeout=60)
        except grpc.RpcError as error:
            return error
    return None


@pytest.mark.parametrize("name", OURS)
def test_no_parameter_replaces_the_gateways_own(made, name):
    world, service = made
    parameters = {"parameters": {name: KEY}}
    twice = json.dumps(parameters)[1:-1] + ',"parameters":{"max_faces":1},'
    spelled = (
        json.dumps(document(**parameters)),
        json.dumps(document(**parameters)).replace("-", "\\u002d"),
    )
    for text in spelled:
        assert "the parameters x-request-id and x-aurum-" in post(world, text.encode())
    assert "[bad_request]" in post(world, f"{{{twice}{json.dumps(document())[1:]}".encode())
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES"}
    tensor["parameters"] = {"binary_data_size": 5}
    head = json.dumps({"inputs": [tensor], **parameters}).encode()
    length = {"Inference-Header-Content-Length": str(len(head))}
    assert "the parameters x-request-id" in post(world, head + b"\1\0\0\0x", **length)

    request = message("analyze_faces", PHOTO.read_bytes())
    request.parameters[name].string_param = KEY
    error = call(world, request)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "the parameters x-request-id" in error.details()
    assert KEY not in service.server.log.read_text(errors="replace")


IDS = {"a key": KEY, "a line": "a\nE0101 forged", "a colour": "\x1b[2J", "an old break": "a\x85b"}


@pytest.mark.parametrize("case", IDS)
def test_an_id_that_could_corrupt_a_log_is_refused(made, case):
    world, service = made
    for text in (json.dumps(document(id=IDS[case])), json.dumps(document(id=IDS[case] + "x" * 9))):
        assert "request ids are logged, so they must not contain" in post(world, text.encode())
    request = message("analyze_faces", PHOTO.read_bytes())
    request.id = IDS[case]
    error = call(world, request)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "request ids are logged, so they must not contain" in error.details()
    assert KEY not in service.server.log.read_text(errors="replace")


def test_the_gateways_id_is_in_the_pipelines_log(made, astronaut):
    world, service = made
    with world.http(**RAW) as http:
        assert http.post(INFER, content=astronaut, headers={"X-Request-Id": "order-9"}).is_success
    assert call(world, message("analyze_faces", astronaut)) is None
    log = service.server.log
    # A request is logged just after it was answered.
    eventually(lambda: {"order-9", "mine"} <= set(log.read_text(errors="replace").split('"')))


@pytest.mark.parametrize("first", [True, False])
def test_duplicate_json_members_are_refused(made, first):
    """Of two, Triton takes the first and JavaScript the last."""
    world, service = made
    evil = [{"name": "models", "parameters": {"classification": 1}}]
    outputs = [json.dumps(evil), "[]"] if first else ["[]", json.dumps(evil)]
    twice = ",".join(f'"outputs":{text}' for text in outputs)
    assert "[bad_request]" in post(world, f"{{{twice},{json.dumps(document())[1:]}".encode())
    assert service.server.running


HOSTILE = {
    "slashes": b"\\/" * 6_500_000,
    "codes": b"\\u002b" * 2_150_000,
    "codes and slashes": b"\\u002B\\/" * 1_600_000,
    "an odd one at the end": b"\\/" * 6_400_000 + b"\\b",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_escapes_cost_little_more_than_letters(made, case):
    """In CPU time of the gateway, which all clients share."""
    world, _ = made

    def cost(data: bytes) -> float:
        body = json.dumps(document()).encode()
        start, end = body.index(b'"data": ["') + 10, body.index(b'"]')
        before = world.cpu()
        post(world, body[:start] + data + body[end:])
        return world.cpu() - before

    plain = max(cost(b"A" * len(HOSTILE[case])) for _ in range(3))
    assert min(cost(HOSTILE[case]) for _ in range(3)) < 6 * plain + 0.1
