"""Requests without a valid key, that disconnect early, or that try to get servers excluded.

They target the gateway, which answers them itself or limits their cost.
"""

from __future__ import annotations

from random import Random

from aurum.contract import PIPELINES
from benchmarks.robustness.hostile import bases, others
from benchmarks.robustness.hostile.requests import Call, message

SERVICE = "/inference.GRPCInferenceService/"
_HEALTH = ("/v2/health/live", "/v2/health/ready")
_METHODS = ("GET", "HEAD", "POST", "PUT", "OPTIONS", "BREW")
_LEFT_AFTER = (0.02, 0.05, 0.15, 0.4)  # seconds
_TIMEOUTS = ("xx", "5", "123456789S", "0n", "-1S", "1.5S", "", "99999999H")
_KEYS = ("", "Bearer", "Bearer x", "Bearer " + "x" * 49, "Basic eDp4", "Bearer aurum_" + "A" * 40,
         "bearer \t" + "y" * 20, "Bearer " + "z" * 4000, "Bearer \xff" + "k" * 40)  # fmt: skip


def paths(random: Random) -> Call:
    """Odd spellings of the public paths, odd methods, and unexpected bodies."""
    path = random.choice(_HEALTH)
    path = random.choice(
        (path, path + "%0a", path + "%0d%0aX:%20y", path + "?a%0a=b", path + "/", path + "%00",
         path.replace("ready", "%72eady"), "http://x" + path, "/v2/../" + path, path.upper())
    )  # fmt: skip
    head = f"{random.choice(_METHODS)} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    length = random.choice((0, 0, 1, 13_000_000))
    # Of the announced body, only the beginning is sent.
    return Call("raw", "", f"{head}Content-Length: {length}\r\n\r\n".encode() + b"x"[:length])


def grpc_headers(random: Random) -> Call:
    """gRPC requests of public and other methods, with headers that gRPC does not expect."""
    method = random.choice(
        ("ServerLive", "ServerReady", "ModelReady", "ModelInfer", "RepositoryIndex")
    )
    headers = {"content-type": "application/grpc", "te": "trailers"}
    headers |= random.choice(
        (
            {"content-type": random.choice(("text/plain", "application/grpcx", ""))},
            {"grpc-timeout": random.choice(_TIMEOUTS)},
            {"grpc-encoding": random.choice(("x", "gzip", "identity,x"))},
            {"grpc-accept-encoding": "x" * 1000},
            {"grpc-previous-rpc-attempts": "x"},
            {"x-bin": "***"},
            {"grpc-trace-bin": "***"},
            {"x-aurum-deadline": "9"},
            {"x-aurum-key": "other"},
            {"x-request-id": random.choice(("a b", "aurum_" + "A" * 40, "i" * 3000))},
        )
    )
    body = random.choice(
        (bytes(5), b"", b"\0\0\0", b"\1\0\0\0\0", bytes(10), b"\0\xff\xff\xff\xff")
    )
    return Call("http2", SERVICE + method, body, headers)


def keys(random: Random) -> Call:
    """An ordinary photo with an invalid key."""
    headers = {"Inference-Header-Content-Length": "0", "authorization": random.choice(_KEYS)}
    return Call("http", random.choice(PIPELINES), bases.jpegs()[0], headers)


def leaving(random: Random) -> Call:
    """A photo whose client disconnects before the answer, over HTTP or gRPC; some are slow."""
    photo = others.heavy(random) if random.random() < 0.1 else bases.any_photo(random)
    model, after = random.choice(PIPELINES), random.choice(_LEFT_AFTER)
    if random.random() < 0.5:
        return Call("grpc", model, message(model, photo).SerializeToString(), patience=after)
    headers = {"Inference-Header-Content-Length": "0"}
    return Call("http", model, photo, headers, patience=after)
