"""Check that an answer is one that the contract and the security guide (docs/) allow."""

from __future__ import annotations

import json
import re

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as protocol

from benchmarks.robustness.hostile.send import LEFT, Answer

OK = "ok"
TRITON = "in Triton's words"
GARBLED = "in gRPC's words"
_REFUSED = {"400", "INVALID_ARGUMENT"}
# Codes with which a hostile request may be refused, and their statuses.
CODES = {
    "invalid_image": _REFUSED,
    "invalid_parameter": _REFUSED,
    "no_face": _REFUSED,
    "low_quality": _REFUSED,
    "not_aligned": _REFUSED,
    "bad_request": _REFUSED,
    "too_large": {"413", "RESOURCE_EXHAUSTED"},
    "not_found": {"404", "NOT_FOUND"},
    "method_not_allowed": {"405", "UNIMPLEMENTED"},
    "unsupported": {"415", "INVALID_ARGUMENT"},
    "unauthenticated": {"401", "UNAUTHENTICATED"},
    "rate_limited": {"429", "UNAVAILABLE"},
}
# Triton refuses names, types and shapes itself, without a code.
_TRITON = {"400", "404", "INVALID_ARGUMENT", "NOT_FOUND"}
_CODE = re.compile(r"\[([a-z_]+)\]")
# The gRPC library's own error for bytes that are not a message; Triton never sees them.
_GARBLED = ("INTERNAL", "Unable to parse request")
_TENSORS = {"FP32": np.float32, "INT32": np.int32}


class WrongAnswerError(ValueError):
    """The answer is not allowed; the message describes it."""


def classify(answer: Answer) -> str:
    """Return OK, the error's code, TRITON, GARBLED or LEFT. Raises WrongAnswerError."""
    if answer.status == LEFT:
        return LEFT
    if answer.status in ("200", "OK"):
        if not answer.plain:
            tensors(answer)
        return OK
    if answer.plain and answer.status[0] == "4" and not answer.body:
        return answer.status  # of HEAD
    text = answer.text
    if answer.status.isdigit():
        try:
            text = json.loads(answer.body)["error"]
        except (ValueError, TypeError, KeyError):
            raise WrongAnswerError(f"{answer.status}, but no JSON error: {text[:200]!r}") from None
    if (answer.status, text) == _GARBLED:
        return GARBLED
    code = _CODE.match(text.removeprefix("in ensemble ").partition(", ")[2] or text)
    code = code or _CODE.match(text)
    if code and answer.status in CODES.get(code[1], ()):
        return code[1]
    if code or answer.status not in _TRITON or not text:
        raise WrongAnswerError(f"{answer.status}: {text[:300]}")
    return TRITON


def tensors(answer: Answer) -> dict[str, NDArray[np.generic]]:
    """Return a successful answer's numbers by output. Raises WrongAnswerError if inconsistent."""
    try:
        found = _of_grpc(answer.body) if answer.status == "OK" else _of_http(answer)
    except (ValueError, KeyError, IndexError, DecodeError) as error:
        raise WrongAnswerError(f"a success that can't be read: {error!r}") from None
    faces = {len(found[name]) for name in ("boxes", "landmarks", "scores") if name in found}
    if len(faces) > 1 or not all(
        np.isfinite(found[name]).all() for name in found if name != "calibration"
    ):
        shapes = {name: value.shape for name, value in found.items()}
        raise WrongAnswerError(f"a success whose numbers don't fit together: {shapes}")
    return found


def _of_grpc(body: bytes) -> dict[str, NDArray[np.generic]]:
    response = protocol.ModelInferResponse.FromString(body)
    return {
        item.name: np.frombuffer(raw, _TENSORS[item.datatype]).reshape(tuple(item.shape))
        for item, raw in zip(response.outputs, response.raw_output_contents, strict=True)
        if item.datatype in _TENSORS
    }


def _of_http(answer: Answer) -> dict[str, NDArray[np.generic]]:
    length = int(answer.headers.get("inference-header-content-length", len(answer.body)))
    at = length
    found: dict[str, NDArray[np.generic]] = {}
    for item in json.loads(answer.body[:length])["outputs"]:
        size = item.get("parameters", {}).get("binary_data_size", 0)
        raw, at = answer.body[at : at + size], at + size
        if item["datatype"] not in _TENSORS:
            continue
        kind = _TENSORS[item["datatype"]]
        value = np.frombuffer(raw, kind) if size else np.array(item.get("data", []), kind)
        found[item["name"]] = value.reshape(item["shape"])
    return found
