"""Triton's HTTP protocol, over tritonclient's aiohttp client."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import aiohttp
from tritonclient.http import InferenceServerException, InferInput
from tritonclient.http.aio import InferenceServerClient

from aurum_client._contract import Outputs
from aurum_client._failures import error_from_status
from aurum_client._tensors import image_input, read_outputs
from aurum_client.errors import ConnectionFailedError, InvalidRequestError, ProtocolError
from aurum_client.options import Parameters

# Calls beyond this many wait for a free connection, rather than for file descriptors.
CONNECTIONS = 100


class HttpTransport:
    """``target`` is ``host[:port][/prefix]``; see :class:`~aurum_client.transport.Transport`."""

    def __init__(
        self, target: str, *, tls: ssl.SSLContext | None, headers: Mapping[str, str]
    ) -> None:
        self._target = target
        self._tls = tls
        self._headers = headers
        self._opened: InferenceServerClient | None = None

    @property
    def _client(self) -> Any:
        # aiohttp ties a session to the event loop that runs while it is made.
        if self._opened is None:
            self._opened = InferenceServerClient(
                self._target,
                ssl=self._tls is not None,
                ssl_context=self._tls,
                conn_limit=CONNECTIONS,
                # Its default would cut calls at 60 s; the client keeps the deadline.
                conn_timeout=None,
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
        """Ask for all outputs, which tritonclient then requests in binary.

        HTTP knows no deadlines, so ``timeout`` stays here: when time is up, the client's
        cancellation closes the connection.
        """
        with _translated():
            result = await self._client.infer(
                model,
                [image_input(InferInput, image)],
                parameters=parameters,
                request_id=request_id or "",
                headers=self._own_headers(),
            )
            described = result.get_response()["outputs"]
            return read_outputs(
                result, [(out["name"], out["datatype"], out["shape"]) for out in described]
            )

    async def is_live(self) -> bool:
        """``GET /v2/health/live``."""
        with _translated():
            return bool(await self._client.is_server_live(headers=self._own_headers()))

    async def is_ready(self, model: str | None = None) -> bool:
        """``GET /v2/health/ready`` or ``/v2/models/{model}/ready``."""
        with _translated():
            if model is None:
                return bool(await self._client.is_server_ready(headers=self._own_headers()))
            return bool(await self._client.is_model_ready(model, headers=self._own_headers()))

    async def metadata(self, model: str) -> Mapping[str, Any]:
        """``GET /v2/models/{model}``."""
        with _translated():
            answer: Mapping[str, Any] = await self._client.get_model_metadata(
                model, headers=self._own_headers()
            )
        return answer

    async def close(self) -> None:
        """Close the session and its connections."""
        if self._opened is not None:
            await self._opened.close()

    def _own_headers(self) -> dict[str, str]:
        # tritonclient writes into what it is given.
        return dict(self._headers)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except InferenceServerException as error:
        raise error_from_status(error.status(), error.message()) from error
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
        raise ConnectionFailedError(str(error) or "the connection broke") from error
    # Nothing was sent: a request id that is no text, such as half of a surrogate pair.
    except UnicodeEncodeError as error:
        raise InvalidRequestError(str(error)) from error
    # A server that speaks no HTTP, or whose answer is not Triton's JSON.
    except (aiohttp.ClientError, ValueError, KeyError, TypeError) as error:
        raise ProtocolError(f"not an answer of Triton's: {error}") from error
