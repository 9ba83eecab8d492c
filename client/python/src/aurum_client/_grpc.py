"""Triton's gRPC protocol, over tritonclient's grpc.aio client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tritonclient.grpc import InferenceServerException, InferInput
from tritonclient.grpc.aio import InferenceServerClient

from aurum_client._contract import Outputs
from aurum_client._failures import error_from_status
from aurum_client._tensors import image_input, read_outputs
from aurum_client.errors import AurumError, ConnectionFailedError, InvalidRequestError
from aurum_client.options import Parameters

_CHANNEL = [
    # gRPC's limit of 4 MB is less than a photo; Triton's own applies.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A channel that failed refuses calls until it connects again, by default after a second and
    # more: all our retries would meet the same old failure. 100 is the least that gRPC takes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 100),
    # As over HTTP, the environment's proxy is not used.
    ("grpc.enable_http_proxy", 0),
]

# How gRPC words an UNAVAILABLE of its own; it has no other mark to tell it from the server's.
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
# So a gateway ends a connection whose headers are too large (ENHANCE_YOUR_CALM), without a status.
_HEADERS_TOO_LARGE = "GOAWAY received; Error code: 11;"


class GrpcTransport:
    """``target`` is ``host:port``; see :class:`~aurum_client.transport.Transport`."""

    def __init__(
        self, target: str, *, secure: bool, ca_file: str | None, headers: Mapping[str, str]
    ) -> None:
        self._target = target
        self._secure = secure
        self._ca_file = ca_file
        # gRPC's metadata keys are lower case.
        self._headers = {name.lower(): value for name, value in headers.items()}
        self._opened: InferenceServerClient | None = None

    @property
    def _client(self) -> Any:
        # grpc.aio ties a channel to the event loop that runs while it is made.
        if self._opened is None:
            self._opened = InferenceServerClient(
                self._target,
                ssl=self._secure,
                root_certificates=self._ca_file,
                channel_args=_CHANNEL,
            )
        return self._opened

    async def infer(
        self,
        model: str,
        image: bytes,
        parameters: Parameters,
        request_id: str | None,
        timeout: float,
    ) -> Outputs:
        """Ask for all outputs, always in binary; ``timeout`` is the deadline that gRPC sends."""
        with _translated():
            result = await self._client.infer(
                model,
                [image_input(InferInput, image)],
                parameters=parameters,
                request_id=request_id or "",
                client_timeout=timeout,
                headers=self._headers,
            )
            described = result.get_response().outputs
            return read_outputs(result, [(out.name, out.datatype, out.shape) for out in described])

    async def is_live(self) -> bool:
        """``ServerLive``."""
        with _translated():
            return bool(await self._client.is_server_live(headers=self._headers))

    async def is_ready(self, model: str | None = None) -> bool:
        """``ServerReady`` or ``ModelReady``."""
        with _translated():
            if model is None:
                return bool(await self._client.is_server_ready(headers=self._headers))
            return bool(await self._client.is_model_ready(model, headers=self._headers))

    async def metadata(self, model: str) -> Mapping[str, Any]:
        """``ModelMetadata``, whose sizes come as strings."""
        with _translated():
            answer: Mapping[str, Any] = await self._client.get_model_metadata(
                model, headers=self._headers, as_json=True
            )
        return answer

    async def close(self) -> None:
        """Close the channel."""
        if self._opened is not None:
            await self._opened.close()


def _classified(status: str | None, message: str | None) -> AurumError:
    if status == "StatusCode.UNAVAILABLE" and message:
        if _HEADERS_TOO_LARGE in message and "too_many_pings" not in message:
            return InvalidRequestError(f"the headers are too large: {message}", status=status)
        if message.startswith(_NO_CONNECTION):
            return ConnectionFailedError(message, status=status)
    return error_from_status(status, message)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except InferenceServerException as error:
        raise _classified(error.status(), error.message()) from error
    # Nothing was sent: the request does not fit its protobuf message (an integer of 70 bits).
    except ValueError as error:
        raise InvalidRequestError(str(error)) from error
