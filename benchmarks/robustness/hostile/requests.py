"""Hostile requests: JSON, binary tensors and protobuf with false shapes, types and lengths.

Each is a complete request in wire format, so that no client library can correct it.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from tritonclient.grpc import service_pb2 as protocol

from aurum.contract import PIPELINES
from benchmarks.robustness.hostile import bases, damage

DTYPES = ("BYTES", "BOOL", "UINT8", "UINT64", "INT8", "INT64", "FP16", "FP32", "FP64", "BF16",
          "bytes", "", "FP128", "\0", "TYPE_STRING")  # fmt: skip
HUGE = (2**31 - 1, 2**31, 2**32, 10**11, 2**62, 2**63 - 1)


@dataclass(frozen=True)
class Call:
    """One request. `model` is the model in HTTP's path; a gRPC body names its own.

    ``raw`` is everything that is sent over a connection; ``http2`` is a POST with any `headers` to
    the path `model`. Neither sends a key.
    """

    protocol: str  # http, grpc, raw or http2
    model: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    patience: float = math.inf  # seconds after which the client disconnects


def photo(random: Random, data: bytes) -> Call:
    """Create an ordinary request with these bytes as the image, in one of the possible forms."""
    model = random.choice(PIPELINES)
    way = random.randrange(3)
    aligned = model == "embed_face" and random.random() < 0.2
    if way == 0:
        return Call("grpc", model, message(model, data, aligned=aligned).SerializeToString())
    if way == 1 and not aligned:
        return Call("http", model, data, {"Inference-Header-Content-Length": "0"})
    raw = struct.pack("<I", len(data)) + data
    tensor = _tensor(parameters={"binary_data_size": len(raw)})
    request: dict[str, object] = {"inputs": [tensor]}
    if aligned:
        request["parameters"] = {"aligned": True}
    return _binary(model, json.dumps(request).encode(), raw)


def message(model: str, data: bytes, *, aligned: bool = False) -> protocol.ModelInferRequest:
    """Create an ordinary gRPC request."""
    request = protocol.ModelInferRequest(model_name=model)
    request.inputs.add(name="image", datatype="BYTES", shape=[1])
    request.raw_input_contents.append(struct.pack("<I", len(data)) + data)
    if aligned:
        request.parameters["aligned"].bool_param = True
    return request


def _tensor(**changes: object) -> dict[str, object]:
    return {"name": "image", "shape": [1], "datatype": "BYTES", **changes}


def _binary(model: str, head: bytes, tail: bytes) -> Call:
    return Call("http", model, head + tail, {"Inference-Header-Content-Length": str(len(head))})


def _json(model: str, document: object) -> Call:
    return Call("http", model, json.dumps(document).encode())


def _shape(random: Random) -> object:
    return random.choice(
        (
            *([value] for value in HUGE), [2**64 - 1], [2**64], [2**32, 2**32], [2**62, 4], [3, 3],
            [-1], [0], [], [1, 1], [2], [1.0], [1.5], ["1"], [None], [[1]], None, "1", 1, {},
            [1] * 1000, [True], [1e300], [10**30],
        )
    )  # fmt: skip


def shapes(random: Random) -> Call:
    """Wrong shapes and types, in JSON and before binary data."""
    model = random.choice(PIPELINES)
    changes: dict[str, object] = {"shape": _shape(random)}
    if random.random() < 0.7:
        changes["datatype"] = random.choice((*DTYPES, None, 5, ["BYTES"]))
    if random.random() < 0.5:
        changes["parameters"] = {"binary_data_size": 8}
        head = json.dumps({"inputs": [_tensor(**changes)]}).encode()
        return _binary(model, head, b"\x04\0\0\0abcd")
    changes["data"] = random.choice((["x"], [1], [1.5], [[1], [2]], [True], [None], [], "x", {}))
    return _json(model, {"inputs": [_tensor(**changes)]})


def lengths(random: Random) -> Call:
    """Binary data with false lengths: of the JSON, of the tensor, of the string in it."""
    model, data = random.choice(PIPELINES), bases.any_photo(random)
    stated = random.choice((0, 1, len(data) - 1, len(data) + 1, 2**31, 2**32 - 1))
    raw = struct.pack("<I", stated) + data
    wrong = (
        -1,
        0,
        3,
        4,
        len(raw) - 1,
        len(raw) + 1,
        *HUGE,
        2**64 - 1,
        "8",
        8.0,
        8.5,
        None,
        [8],
        True,
    )
    size = random.choice((len(raw), *wrong))
    head = json.dumps({"inputs": [_tensor(parameters={"binary_data_size": size})]}).encode()
    if random.random() < 0.6:
        return _binary(model, head, raw)
    near = (str(len(head) - 1), str(len(head) + 1))
    odd = ("-1", "1", "99999", "999999999", "4294967296", "abc", "0x10", "", " ", "1e3", "00")
    header = random.choice((*near, *odd))
    return Call("http", model, head + raw, {"Inference-Header-Content-Length": header})


def nesting(random: Random) -> Call:
    """JSON that is nested, long, duplicated, truncated, or barely JSON."""
    model = random.choice(PIPELINES)
    deep = random.choice((10, 40, 1000, 20_000, 100_000, 1_000_000))
    good = json.dumps({"inputs": [_tensor(data=["x"])]}).encode()
    evil = json.dumps({"inputs": [_tensor(shape=[10**11], datatype="FP32", data=[1])]}).encode()
    escaped = evil.replace(b"inputs", b"inp\\u0075ts").replace(b"shape", b"sh\\u0061pe")
    body = random.choice(
        (
            b"[" * deep + b"]" * deep,
            b"[" * deep,
            good[:-1] + b',"id":' + b"[" * deep + b"]" * deep + b"}",
            good.replace(b'["x"]', b"[" * deep + b'"x"' + b"]" * deep),
            good[:-1] + b',"parameters":' + b'{"a":' * deep + b"1" + b"}" * deep + b"}",
            evil[:-1] + b"," + good[1:],
            good[:-1] + b"," + evil[1:],
            escaped[:-1] + b"," + good[1:],
            good.replace(b'"x"', b'"' + b"x" * 1_000_000 + b'"'),
            good[:-1] + b',"id":"' + b"x" * 1_000_000 + b'"}',
            good.replace(b'"x"', b'"\\ud800\\u0000\xff\xfe"'),
            good.replace(b"[1]", b"[" + b"1," * 100_000 + b"1]"),
            good.replace(b"[1]", b"[1" + b"0" * 10_000 + b"]"),
            b'{"inputs":[' + b"{}," * 50_000 + b"{}]}",
            good + good,
            b"\xef\xbb\xbf" + good,
            good.decode().encode("utf-16"),
            b"{" + b'"a":1,' * 100_000 + good[1:],
            damage.noise(random, good),
            damage.cut(random, good),
            b"",
            b"NaN",
            b"\0" * 1000,
        )
    )
    return Call("http", model, body)


def parameters(random: Random) -> Call:
    """Parameters with wrong types or out of range, unknown ones, and Triton's own."""
    name = random.choice(
        ("min_confidence", "max_faces", "detection_size", "aligned", "unknown", "x-anything", "",
         "é", "n" * 10_000, "sequence_id", "sequence_start", "priority", "timeout",
         "binary_data_output",
         "triton_enable_empty_final_response", "x-request-id", "X-Request-Id", "x-aurum-key",
         "X-Aurum-Deadline", "__class__", "\0")
    )  # fmt: skip
    value = random.choice(
        (-1, 0, 1, 2, 31, 32, 640, 1280, 1312, 2**31, 2**53, 2**63, 10**30, -(2**63), 0.5, 1.5,
         -0.0, 1e308, "1", "0.5", "nan", "inf", "1e400", "true", "", "x" * 100_000, "é\0",
         "\uff11\uff12", True, False, None, [], [1], {}, {"a": 1})
    )  # fmt: skip
    model = random.choice(PIPELINES)
    data = bases.jpegs()[0]
    if random.random() < 0.5:
        raw = struct.pack("<I", len(data)) + data
        tensor = _tensor(parameters={"binary_data_size": len(raw)})
        document = json.dumps({"parameters": {name: value}, "inputs": [tensor]})
        if value is True and random.random() < 0.3:
            document = document.replace("true", random.choice(("NaN", "Infinity", "1e999", "-")), 1)
        return _binary(model, document.encode(), raw)
    request = message(model, data)
    kind = random.choice(
        ("int64_param", "bool_param", "string_param", "double_param", "uint64_param")
    )
    slot = request.parameters[name]
    # A value that doesn't fit leaves a parameter without a value, which is hostile, too.
    with suppress(TypeError, ValueError, AttributeError, OverflowError):
        setattr(slot, kind, value)
    return Call("grpc", model, request.SerializeToString())


def outputs(random: Random) -> Call:
    """Outputs that don't exist, appear twice, or are requested in odd ways."""
    model = random.choice(PIPELINES)
    data = random.choice((bases.jpegs()[0], b"x"))
    name = random.choice(("boxes", "models", "scores", "embeddings", "nope", "", "b" * 1000, "\0"))
    option = random.choice(("classification", "binary_data", "shared_memory_region", "x"))
    value = random.choice((0, 1, -1, 5, 2**31, 2**62, True, "x", ""))
    count = random.choice((1, 2, 200, 1000))
    if random.random() < 0.5:
        raw = struct.pack("<I", len(data)) + data
        tensor = _tensor(parameters={"binary_data_size": len(raw)})
        wanted: object = [{"name": name, "parameters": {option: value}}] * count
        if random.random() < 0.3:
            wanted = random.choice(({}, "x", [1], [{}], [[]], None, [{"name": 1}], []))
        return _binary(model, json.dumps({"inputs": [tensor], "outputs": wanted}).encode(), raw)
    request = message(model, data)
    kind = {bool: "bool_param", str: "string_param"}.get(type(value), "int64_param")
    for _ in range(count):
        setattr(request.outputs.add(name=name).parameters[option], kind, value)
    return Call("grpc", model, request.SerializeToString())


def protobuf(random: Random) -> Call:
    """gRPC messages with wrong shapes, types, contents, lengths; damaged; for other models."""
    data = bases.any_photo(random)
    model = random.choice(PIPELINES)
    request = message(model, data)
    tensor = request.inputs[0]
    choice = random.randrange(9)
    if choice == 0:
        del tensor.shape[:]
        huge = [[value] for value in HUGE]
        odd: tuple[list[int], ...] = (
            [],
            [0],
            [-1],
            [2],
            [1, 1],
            [2**62, 4],
            [-(2**63)],
            [2**32, 2**32],
            [1] * 1000,
        )
        tensor.shape.extend(random.choice((*odd, *huge)))
        tensor.datatype = random.choice(DTYPES)
    elif choice == 1:  # typed contents in addition to, or instead of, raw ones
        if random.random() < 0.7:
            del request.raw_input_contents[:]
        tensor.contents.bytes_contents.extend([data] * random.randint(0, 2))
        tensor.contents.fp32_contents.extend([float("nan")] * random.choice((0, 0, 1, 1000)))
        tensor.contents.int64_contents.extend([-1] * random.choice((0, 0, 1)))
        tensor.datatype = random.choice(DTYPES) if random.random() < 0.5 else "BYTES"
    elif choice == 2:
        stated = random.choice((0, 1, len(data) - 1, len(data) + 1, 2**31, 2**32 - 1))
        request.raw_input_contents[0] = struct.pack("<I", stated) + data
    elif choice == 3:
        del request.raw_input_contents[:]
        request.raw_input_contents.extend(
            [random.randbytes(random.randrange(9))] * random.randrange(4)
        )
    elif choice == 4:
        request.inputs.extend([tensor] * random.choice((1, 100)))
    elif choice == 5:
        del request.inputs[:]
        request.inputs.add(
            name=random.choice(("", "photo", "i" * 100_000)), datatype="BYTES", shape=[1]
        )
    elif choice == 6:
        slot = tensor.parameters[
            random.choice(("shared_memory_region", "shared_memory_offset", "x"))
        ]
        slot.string_param = random.choice(("", "x", "../x", "x" * 10_000))
    elif choice == 7:
        request.id = random.choice(("x" * 100_000, "é", "\0", "\n{}"))
        request.model_version = random.choice(("", "1", "2", "-1", "x", str(2**70)))
    else:
        request.model_name = random.choice(
            ("", "face_detection", "each_face", "nope", "../x", "n" * 10_000, "detect_faces\0")
        )
    body = request.SerializeToString()
    return Call("grpc", model, damage.noise(random, body) if random.random() < 0.2 else body)


def garbage(random: Random) -> Call:
    """Bytes that are neither protobuf nor JSON."""
    data = random.choice((random.randbytes(random.choice((1, 50, 5000))), b"\xff" * 100, b""))
    return Call(random.choice(("grpc", "http")), random.choice(PIPELINES), data)
