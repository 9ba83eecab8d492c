"""Triton's HTTP protocol, over tritonclient's aiohttp client."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from typing import Any

import aiohttp
from tritonclient.http import InferenceServerException, InferInput
from tritonclient.http.aio import InferenceServerClient

from aurum_client._failures import error_from_status
from aurum_client._headers import noting
from aurum_client._triton import TritonTransport
from aurum_client.errors import AurumError, ConnectionFailedError, ProtocolError

# Further calls wait for a free connection, so that many calls don't exhaust file descriptors.
CONNECTIONS = 100


class HttpTransport(TritonTransport):
    """A transport to ``host[:port][/prefix]``.

    HTTP has no deadlines: when a call's time is up, its cancellation closes the connection.
    """

    input_type = InferInput

    def __init__(
        self, target: str, *, tls: ssl.SSLContext | None, headers: Mapping[str, str]
    ) -> None:
        super().__init__(headers)
        self._target = target
        self._tls = tls

    def _open(self) -> Any:
        client = InferenceServerClient(
            self._target,
            ssl=self._tls is not None,
            ssl_context=self._tls,
            conn_limit=CONNECTIONS,
            # The client enforces the timeout; tritonclient's default would end calls after 60 s.
            conn_timeout=None,
        )
        client._get, client._post = noting(client._get), noting(client._post)
        return client

    def _describe(self, result: Any) -> Iterable[tuple[str, str, Iterable[int]]]:
        outputs = result.get_response()["outputs"]
        return [(out["name"], out["datatype"], out["shape"]) for out in outputs]

    def _translate(self, error: Exception) -> AurumError | None:
        if isinstance(error, InferenceServerException):
            return error_from_status(error.status(), error.message())
        if isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError):
            return ConnectionFailedError(str(error) or "the connection was lost")
        # The server does not speak HTTP, or its answer is not Triton's JSON.
        if isinstance(error, aiohttp.ClientError | ValueError | KeyError | TypeError):
            return ProtocolError(f"not a response from Triton: {error}")
        return None
