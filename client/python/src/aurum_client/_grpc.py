"""Triton's gRPC protocol, over tritonclient's grpc.aio client."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import grpc
from tritonclient.grpc import InferenceServerException, InferInput
from tritonclient.grpc.aio import InferenceServerClient

from aurum_client._failures import error_from_status
from aurum_client._headers import note
from aurum_client._triton import TritonTransport
from aurum_client.errors import (
    AurumError,
    ConnectionFailedError,
    ForkedProcessError,
    InvalidRequestError,
)

# Triton takes a ping for an attack and closes the connection (GOAWAY, "too_many_pings") after the
# third that comes within 5 minutes of the last one without data between them, or within 2 hours
# while no call is pending. So ours are rarer, and only sent during a call: they notice a server
# that vanished without closing its connections.
KEEPALIVE = 6 * 60  # seconds
KEEPALIVE_TIMEOUT = 20  # seconds without an answer to a ping, after which the connection is lost

CHANNEL = [
    ("grpc.keepalive_time_ms", KEEPALIVE * 1000),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT * 1000),
    ("grpc.keepalive_permit_without_calls", 0),
    # Photos can exceed gRPC's default limit of 4 MB; Triton's own limit still applies.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A failed channel rejects calls until it reconnects, by default after a second or more, so
    # every retry would see the same failure. gRPC accepts no less than 100 ms.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 100),
    # Ignore proxies from the environment, as over HTTP.
    ("grpc.enable_http_proxy", 0),
]

# The messages of UNAVAILABLE errors that gRPC itself raises. Nothing else distinguishes them from
# the server's.
_NO_CONNECTION = (
    "failed to connect",
    "errors resolving",
    "DNS resolution failed",
    "Socket closed",
    "recvmsg:",
    "sendmsg:",
    "Connection reset",
    "connections to all backends failing",
    "Stream removed",
)
# A gateway closes a connection with too large headers this way (ENHANCE_YOUR_CALM), without a
# status.
_HEADERS_TOO_LARGE = "GOAWAY received; Error code: 11;"


class GrpcTransport(TritonTransport):
    """A transport to ``host:port``."""

    input_type = InferInput
    metadata_options: ClassVar[Mapping[str, Any]] = {"as_json": True}

    def __init__(
        self, target: str, *, secure: bool, ca_file: str | None, headers: Mapping[str, str]
    ) -> None:
        # gRPC metadata keys are lower case.
        super().__init__({name.lower(): value for name, value in headers.items()})
        self._target = target
        self._secure = secure
        self._ca_file = ca_file

    def _open(self) -> Any:
        _check_process()
        client = InferenceServerClient(
            self._target,
            ssl=self._secure,
            root_certificates=self._ca_file,
            channel_args=CHANNEL,
        )
        client._client_stub = _NotingStub(client._client_stub)
        return client

    def _infer_options(self, timeout: float) -> dict[str, Any]:
        return {"client_timeout": timeout}  # sent as the call's deadline

    def _describe(self, result: Any) -> Iterable[tuple[str, str, Iterable[int]]]:
        return [(out.name, out.datatype, out.shape) for out in result.get_response().outputs]

    def _translate(self, error: Exception) -> AurumError | None:
        if isinstance(error, InferenceServerException):
            return _classify(error.status(), error.message())
        # Raised before sending: a value does not fit its protobuf field (an integer of 70 bits).
        if isinstance(error, ValueError):
            return InvalidRequestError(str(error))
        return None


class _NotingStub:
    """Triton's stub, with the metadata of its responses noted."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._stub, name)

        async def call(**request: Any) -> Any:
            made = method(**request)
            try:
                response = await made
            except grpc.RpcError as error:
                note(error.initial_metadata())
                note(error.trailing_metadata())
                raise
            note(await made.initial_metadata())
            note(await made.trailing_metadata())
            return response

        return call


# In a forked child, gRPC hangs or crashes, even with new channels, if the parent has used it.
_used_by: set[int] = set()  # process ids


def _check_process() -> None:
    if _used_by - {os.getpid()}:
        raise ForkedProcessError(
            "gRPC cannot be used in a process that was forked after its parent used gRPC: use an "
            "http:// address, start the process by the method 'spawn' or 'forkserver', or make "
            "the parent's first gRPC call after the fork"
        )
    _used_by.add(os.getpid())


def _classify(status: str | None, message: str | None) -> AurumError:
    if status == "StatusCode.UNAVAILABLE" and message:
        if _HEADERS_TOO_LARGE in message and "too_many_pings" not in message:
            return InvalidRequestError(f"the headers are too large: {message}", status=status)
        if message.startswith(_NO_CONNECTION):
            return ConnectionFailedError(message, status=status)
    return error_from_status(status, message)
