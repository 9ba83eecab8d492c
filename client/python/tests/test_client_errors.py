"""Mapping of statuses and messages to error classes."""

from __future__ import annotations

import pickle
import re

import pytest
from aurum_client import errors
from aurum_client._failures import error_from_status


@pytest.mark.parametrize(
    ("status", "message", "kind", "code", "text"),
    [
        (
            "400",
            "in ensemble 'analyze_faces', [invalid_image] no",
            errors.InvalidImageError,
            "invalid_image",
            "no",
        ),
        (
            "StatusCode.INVALID_ARGUMENT",
            "in ensemble 'a', in ensemble 'b', [no_face] nobody\nthere",
            errors.NoFaceError,
            "no_face",
            "nobody\nthere",
        ),
        (
            "400",
            "[request id: <id_unknown>] in ensemble 'a', [no_face] x",
            errors.NoFaceError,
            "no_face",
            "x",
        ),
        (
            "StatusCode.INVALID_ARGUMENT",
            "in ensemble 'embed_face', [low_quality] x",
            errors.LowQualityError,
            "low_quality",
            "x",
        ),
        ("400", "[request id: r-1] expected 1", errors.InvalidRequestError, None, "expected 1"),
        ("400", "[invalid_parameter] x", errors.InvalidRequestError, "invalid_parameter", "x"),
        ("503", "[unavailable] busy", errors.UnavailableError, "unavailable", "busy"),
        # The code takes precedence over the status.
        ("500", "[no_face] x", errors.NoFaceError, "no_face", "x"),
        ("400", "[new_code] x", errors.InvalidRequestError, "new_code", "x"),
        ("400", "in ensemble 'a', bad", errors.InvalidRequestError, None, "bad"),
        ("400", "Expected [1], got [x] y", errors.InvalidRequestError, None, None),
        ("431", "[bad_request] long", errors.InvalidRequestError, "bad_request", "long"),
        ("StatusCode.UNIMPLEMENTED", "no", errors.ModelNotFoundError, None, "no"),
        ("StatusCode.UNKNOWN", "[not_found] x", errors.ModelNotFoundError, "not_found", "x"),
        ("401", "who?", errors.AccessDeniedError, None, "who?"),
        ("404", "unknown model", errors.ModelNotFoundError, None, "unknown model"),
        # Transient failures in Triton's words: a stopping server, a model whose process has died.
        (
            "404",
            "Request for unknown model: 'x' has no available versions",
            errors.UnavailableError,
            None,
            None,
        ),
        (
            "StatusCode.NOT_FOUND",
            "unknown model: 'x' has no available versions",
            errors.UnavailableError,
            None,
            None,
        ),
        (
            "500",
            "in ensemble 'x', 'y' version 1 is not at ready state",
            errors.UnavailableError,
            None,
            "'y' version 1 is not at ready state",
        ),
        (
            "StatusCode.INTERNAL",
            "Stub process 'x_0_0' is not healthy.",
            errors.UnavailableError,
            None,
            None,
        ),
        ("503", "Exceeds maximum queue size", errors.UnavailableError, None, None),
        ("StatusCode.UNAVAILABLE", "[unavailable] x", errors.UnavailableError, "unavailable", "x"),
        (
            "404",
            "Request for unknown model: 'x' is not found",
            errors.ModelNotFoundError,
            None,
            None,
        ),
        ("400", "the graph is not ready", errors.InvalidRequestError, None, None),
        ("502", "bad gateway", errors.UnavailableError, None, "bad gateway"),
        ("StatusCode.UNAVAILABLE", "stopping", errors.UnavailableError, None, "stopping"),
        ("StatusCode.CANCELLED", "CANCELLED", errors.UnavailableError, None, "CANCELLED"),
        ("StatusCode.DEADLINE_EXCEEDED", "late", errors.RequestTimeoutError, None, "late"),
        ("500", "boom", errors.ServerError, None, "boom"),
        ("StatusCode.INTERNAL", "boom", errors.ServerError, None, "boom"),
        ("418", "teapot", errors.ServerError, None, "teapot"),
        (None, "garbled", errors.ProtocolError, None, "garbled"),
        ("500", "", errors.ServerError, None, "the server gave no reason"),
        ("500", None, errors.ServerError, None, "the server gave no reason"),
    ],
)
def test_the_error_class_follows_code_and_status(status, message, kind, code, text):
    error = error_from_status(status, message)
    assert type(error) is kind
    assert (error.code, error.status) == (code, status)
    assert str(error) == (message if text is None else text)


def test_the_tree_in_the_docstring_matches_the_classes():
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in errors.__doc__.splitlines():
        if match := re.match(r"    ([│├└─ ]*)(\w+)", line):
            depth = len(match[1]) // 4
            path = [*path[:depth], match[2]]
            if depth:
                drawn[match[2]] = path[-2]
    real = {
        name: kind.__base__.__name__
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.AurumError) and name != "AurumError"
    }
    assert drawn == real


def test_only_transient_errors_are_retryable():
    def tree(kind):
        return {kind}.union(*(tree(sub) for sub in kind.__subclasses__()))

    retryable = {kind for kind in tree(errors.AurumError) if kind.retryable}
    assert retryable == {
        errors.ConnectionFailedError,
        errors.UnavailableError,
        errors.RateLimitError,
    }


def test_errors_can_be_pickled():
    copy = pickle.loads(pickle.dumps(errors.NoFaceError("x", code="no_face", status="400")))
    assert (str(copy), copy.code, copy.status) == ("x", "no_face", "400")
