"""The gateway blocks JSON that would crash Triton 2.51, and passes all legitimate JSON.

Each case was found by `python -m benchmarks hostile`, or is a variant of such a case.
"""

import base64
import json
from dataclasses import replace

import grpc
import pytest
from gateway_world import RAW, gateway_for
from tritonclient.grpc import service_pb2 as protocol

from aurum.paths import PHOTO
from aurum.server.ephemeral import running
from aurum.settings import Settings
from benchmarks.robustness.hostile.requests import message

INFER = "/v2/models/analyze_faces/infer"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A gateway with its own server."""
    settings = replace(Settings.from_env(), profile="simulated")
    with (
        running(settings, tmp_path_factory.mktemp("json")) as service,
        gateway_for(service, rate=10_000, burst=10_000) as made,
    ):
        yield made, service


def document(**changes):
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": ["x"], **changes}
    return {"inputs": [tensor]}


def text(**changes) -> bytes:
    return json.dumps(document(**changes)).encode()


PHOTO_TEXT = base64.b64encode(PHOTO.read_bytes()).decode()
GOOD = text()
EVIL = text(shape=[10**11], datatype="FP32", data=[1])
DEEP = b"[" * 100_000 + b'"x"' + b"]" * 100_000
HIDDEN = EVIL.replace(b"inputs", b"inp\\u0075ts").replace(b"shape", b"sh\\u0061pe")
REFUSED = {
    # std::bad_alloc or std::length_error, which nobody catches
    "a shape that can't be allocated": EVIL,
    "a shape that overflows": text(shape=[2**63 - 1], datatype="UINT8", data=[1]),
    "a shape of the largest unsigned integer": text(shape=[2**64 - 1], datatype="FP16"),
    # repeated raw in an answer that is then not JSON
    "a name that is no UTF-8": GOOD.replace(b'"image"', b'"i\xff\xc3ge"'),
    "an id that is half a character": GOOD[:-1] + b',"id":"\xf0\x9f\x98"}',
    # the parser's recursion overflows the stack
    "JSON nested deep": GOOD.replace(b'["x"]', DEEP),
    "deep JSON where nobody looks": GOOD[:-1] + b',"more":' + DEEP + b"}",
    # Triton takes the first of two members, JSON.parse the last
    "an evil input before a good one": EVIL[:-1] + b"," + GOOD[1:],
    "an evil input behind a good one": GOOD[:-1] + b"," + EVIL[1:],
    "an evil input under an escaped name": HIDDEN[:-1] + b"," + GOOD[1:],
    # a classification of strings
    "classification": json.dumps(
        {
            **document(data=[PHOTO_TEXT]),
            "outputs": [{"name": "models", "parameters": {"classification": 1}}],
        }
    ).encode(),
    # 500 of Triton's front end
    "no JSON": b"{",
    "another type": b"[]",
    "a number for a string": text(data=[7]),
    "a negative shape": text(shape=[-1]),
    "a fraction for a size": text(parameters={"binary_data_size": 8.0}),
    "half a surrogate pair": text(data=["\ud800"]),
    "a name with a zero byte": text(parameters={"\0": 1}),
    "nothing": b"",
}


def refuses(world, content: bytes) -> None:
    made, service = world
    with made.http() as http:
        answer = http.post(INFER, content=content)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(
        "[bad_request] not a request to these models: the JSON"
    )
    assert service.server.running


@pytest.mark.parametrize("case", REFUSED)
def test_json_that_crashes_triton_or_makes_it_answer_500_is_refused(world, case):
    refuses(world, REFUSED[case])


def test_very_many_chunks_arrive_as_one_body(world):
    made, service = world
    with made.http(**RAW) as http:
        answer = http.post(INFER, content=(b"x" for _ in range(200_000)))
    assert answer.status_code == 400
    assert "[invalid_image]" in answer.json()["error"]
    assert service.server.running


def test_unusual_json_passes(world, astronaut):
    made, _ = world
    photo = base64.b64encode(astronaut).decode()
    tensor = {"datatype": "BYTES", "name": "image", "shape": [1], "data": [photo]}
    request = {
        "id": "é \u2028 \" ' \\ \U0001f642",
        "parameters": {"min_confidence": 0.25, "max_faces": "1", "binary_data_output": False},
        "outputs": [{"name": "boxes", "parameters": {"binary_data": False}}],
        "inputs": [tensor],
    }
    spelled = (
        json.dumps(request),
        json.dumps(request, ensure_ascii=False),
        json.dumps(request, indent=3),
        json.dumps(request).replace("/", "\\/"),  # as PHP writes it
    )
    with made.http() as http:
        for body in spelled:
            answer = http.post(INFER, content=body.encode())
            assert answer.status_code == 200, answer.text
            assert answer.json()["id"] == request["id"]


# How JSON encoders write the line breaks, slashes, pluses and equals signs of base64.
ESCAPED = {
    "line breaks": lambda text: text,
    "slashes, by PHP": lambda text: text.replace("/", "\\/"),
    "pluses, by .NET": lambda text: text.replace("+", "\\u002B"),
    "all by code": lambda text: (
        text.replace("+", "\\u002b").replace("/", "\\u002F").replace("=", "\\u003d")
    ),
}


@pytest.mark.parametrize("encoder", ESCAPED)
def test_long_base64_passes_as_encoders_escape_it(world, astronaut, encoder):
    made, _ = world
    photo = base64.encodebytes(astronaut).decode().replace("\n", "\r\n")
    body = ESCAPED[encoder](json.dumps(photo)).encode()
    assert len(body) > 65_536
    with made.http() as http:
        answer = http.post(INFER, content=text(data=["@"]).replace(b'"@"', body))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "escape", ["\\u0022", "\\ud800", "\\\\", '\\"', "\\u002", "\\b", "\\u0000"]
)
def test_other_escapes_in_long_base64_are_refused(world, astronaut, escape):
    photo = base64.b64encode(astronaut).decode()
    refuses(world, text(data=["@"]).replace(b"@", (photo + escape + photo).encode()))


def call(made, request: protocol.ModelInferRequest) -> grpc.RpcError | None:
    credentials = grpc.ssl_channel_credentials(made.ca.read_bytes())
    with grpc.secure_channel(
        made.gateway.grpc_url.removeprefix("grpcs://"), credentials
    ) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        try:
            metadata = (("authorization", f"Bearer {made.key}"),)
            infer(request.SerializeToString(), metadata=metadata, timeout=60)
        except grpc.RpcError as error:
            return error
    return None


def test_a_classification_over_grpc_is_refused(world, astronaut):
    made, service = world
    request = message("analyze_faces", astronaut)
    request.outputs.add(name="models").parameters["classification"].int64_param = 1
    error = call(made, request)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert service.server.running
    assert call(made, message("analyze_faces", astronaut)) is None


def test_names_too_long_for_an_error_are_refused_and_get_no_server_left_out(world, astronaut):
    """Triton repeats them in its errors; nginx can't read an answer with such large headers."""
    made, _ = world
    long = "n" * 100_000
    requests = [message("analyze_faces", astronaut) for _ in range(4)]
    requests[0].inputs[0].name = long
    requests[1].parameters[long].int64_param = 1
    requests[2].outputs.add(name=long)
    requests[3].id = long
    for request in requests:
        assert call(made, request).code() == grpc.StatusCode.INVALID_ARGUMENT
        assert call(made, message("analyze_faces", astronaut)) is None


def test_a_long_value_is_shortened_in_the_message(world, astronaut):
    made, _ = world
    request = message("analyze_faces", astronaut)
    request.parameters["min_confidence"].string_param = "é" * 500
    error = call(made, request)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "[invalid_parameter] min_confidence='é" in error.details()


LONG = base64.b64encode(PHOTO.read_bytes() + bytes(3_000_000)).decode()


@pytest.mark.parametrize("slash", ["/", "\\/"])
def test_a_large_photo_in_json_passes(world, slash):
    made, _ = world
    body = json.dumps({"id": "é", **document(data=[LONG])}).replace("/", slash)
    with made.http() as http:
        answer = http.post(INFER, content=body.encode())
    assert answer.status_code == 200, answer.text[:500]


LARGE = text(data=[LONG])
EVIL_LARGE = text(shape=[10**11], datatype="FP32", data=[LONG])
REFUSED_LARGE = {
    "a huge shape": EVIL_LARGE,
    "an evil input before": EVIL[:-1] + b"," + LARGE[1:],
    "an evil input behind": LARGE[:-1] + b"," + EVIL[1:],
    "an evil input between two photos": LARGE[:-1] + b"," + EVIL[1:-1] + b"," + LARGE[1:],
    "deep JSON behind": LARGE[:-1] + b',"more":' + DEEP + b"}",
    "deep JSON before": LARGE.replace(b"{", b'{"more":' + DEEP + b",", 1),
    "deep JSON between two photos": LARGE[:-1] + b',"more":' + DEEP + b"," + LARGE[1:],
    "a quote in the photo": LARGE.replace(b"AAAA", b'AA"A', 1),
    "an escape in the photo": LARGE.replace(b"AAAA", b"A\\uD800", 1),
    "bytes that are no text before": LARGE.replace(b"{", b'{"id":"\xff\xfe",', 1)[:-2],
    "blanks without end": LARGE.replace(b'"data":', b'"data":' + b" " * 100_000),
    "a long id": LARGE.replace(b"{", b'{"id":"' + b"x" * 100_000 + b'",', 1),
}


@pytest.mark.parametrize("case", REFUSED_LARGE)
def test_a_large_photo_does_not_hide_json_that_crashes_triton(world, case):
    refuses(world, REFUSED_LARGE[case])
