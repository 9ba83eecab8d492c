"""The protocol-independent half of both transports, on top of tritonclient."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from tritonclient.utils import triton_to_np_dtype

from aurum_client._fork import never_finalize
from aurum_client._headers import REQUEST_ID, noted_headers
from aurum_client.errors import AurumError, ProtocolError
from aurum_client.options import Parameters
from aurum_client.transport import Answer, Outputs


class TritonTransport(ABC):
    """A :class:`~aurum_client.Transport` over one of tritonclient's asyncio clients."""

    input_type: ClassVar[type[Any]]  # the InferInput of tritonclient's module
    metadata_options: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers
        self._opened: Any = None

    @abstractmethod
    def _open(self) -> Any:
        """Create the tritonclient client; called inside the event loop that it is bound to."""

    @abstractmethod
    def _describe(self, result: Any) -> Iterable[tuple[str, str, Iterable[int]]]:
        """Return name, datatype and shape of each output of an InferResult."""

    @abstractmethod
    def _translate(self, error: Exception) -> AurumError | None:
        """Return the AurumError for an error of the protocol's libraries, or None for any other."""

    def _infer_options(self, timeout: float) -> dict[str, Any]:
        return {}

    @property
    def _client(self) -> Any:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    async def infer(
        self,
        model: str,
        image: bytes,
        parameters: Parameters,
        request_id: str | None,
        timeout: float,
    ) -> Answer:
        """Send one encoded image and return all outputs; tensors are binary in both directions."""
        headers = dict(self._headers)  # a copy: tritonclient adds its own
        if request_id is not None:
            headers[REQUEST_ID] = request_id
        with self._translated() as received:
            tensor = self.input_type("image", [1], "BYTES")
            tensor.set_data_from_numpy(np.array([image], dtype=np.object_))
            result = await self._client.infer(
                model,
                [tensor],
                parameters=parameters,
                request_id=request_id or "",
                headers=headers,
                **self._infer_options(timeout),
            )
            return Answer(_read_outputs(result, self._describe(result)), received)

    async def is_live(self) -> bool:
        """Return whether the server reports that it is live."""
        with self._translated():
            return bool(await self._client.is_server_live(headers=dict(self._headers)))

    async def is_ready(self, model: str | None = None) -> bool:
        """Return whether the server, or ``model``, reports that it is ready."""
        headers = dict(self._headers)
        with self._translated():
            if model is None:
                return bool(await self._client.is_server_ready(headers=headers))
            return bool(await self._client.is_model_ready(model, headers=headers))

    async def metadata(self, model: str) -> Mapping[str, Any]:
        """Return the model's metadata; over gRPC its sizes are strings."""
        with self._translated():
            answer: Mapping[str, Any] = await self._client.get_model_metadata(
                model, headers=dict(self._headers), **self.metadata_options
            )
        return answer

    async def close(self) -> None:
        """Close the connections, if any were opened."""
        if self._opened is not None:
            await self._opened.close()

    def forked(self) -> None:
        """Forget the connections, which are the parent's; the next call opens others."""
        never_finalize(self._opened)
        self._opened = None

    @contextmanager
    def _translated(self) -> Iterator[Mapping[str, str]]:
        """Raise errors as AurumError with the response's headers, which the block gets as well."""
        received = noted_headers()
        try:
            yield received
        except AurumError as error:
            error.headers = received
            raise
        except Exception as error:
            translated = self._translate(error)
            if translated is None:
                raise
            translated.headers = received
            raise translated from error


def _read_outputs(result: Any, described: Iterable[tuple[str, str, Iterable[int]]]) -> Outputs:
    outputs: Outputs = {}
    for name, datatype, sizes in described:
        shape = tuple(sizes)
        if 0 in shape:
            # Over HTTP, as_numpy() returns any empty tensor as float64.
            outputs[name] = np.empty(shape, dtype=triton_to_np_dtype(datatype))
            continue
        try:
            outputs[name] = result.as_numpy(name)
        # KeyError: neither binary nor JSON data. The others: data of the wrong length.
        except (KeyError, ValueError, struct.error) as error:
            raise ProtocolError(f"output {name!r} cannot be read: {error}") from error
    return outputs
