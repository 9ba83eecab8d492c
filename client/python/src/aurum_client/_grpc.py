"""Triton's gRPC protocol, over tritonclient's grpc.aio client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from tritonclient.grpc import InferenceServerException, InferInput
from tritonclient.grpc.aio import InferenceServerClient

from aurum_client._failures import error_from_status
from aurum_client._triton import TritonTransport
from aurum_client.errors import AurumError, ConnectionFailedError, InvalidRequestError

_CHANNEL = [
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
        return InferenceServerClient(
            self._target,
            ssl=self._secure,
            root_certificates=self._ca_file,
            channel_args=_CHANNEL,
        )

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


def _classify(status: str | None, message: str | None) -> AurumError:
    if status == "StatusCode.UNAVAILABLE" and message:
        if _HEADERS_TOO_LARGE in message and "too_many_pings" not in message:
            return InvalidRequestError(f"the headers are too large: {message}", status=status)
        if message.startswith(_NO_CONNECTION):
            return ConnectionFailedError(message, status=status)
    return error_from_status(status, message)
