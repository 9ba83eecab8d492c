"""The interface between the client and the wire protocols."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy.typing as npt

from aurum_client.options import Parameters

Outputs: TypeAlias = dict[str, npt.NDArray[Any]]
"""Output tensors by name. BYTES tensors are object arrays of ``bytes``."""


class Answer(NamedTuple):
    """The response to an inference: its outputs, and its headers by lower-case name.

    Over gRPC, the headers are the initial and the trailing metadata.
    """

    outputs: Outputs
    headers: Mapping[str, str]


class Transport(Protocol):
    """A connection to one Triton server, used from a single event loop.

    Implementations connect on first use, inside the running event loop, and raise only
    :class:`~aurum_client.AurumError`. The client handles timeouts and retries: it cancels a call
    whose time is up.
    """

    async def infer(
        self,
        model: str,
        image: bytes,
        parameters: Parameters,
        request_id: str | None,
        timeout: float,
    ) -> Answer:
        """Send one encoded image to ``model`` and return all its outputs.

        ``request_id`` is sent in the request and as the header X-Request-Id. ``timeout`` is the
        time left in seconds, for protocols that transmit a deadline.
        """
        ...

    async def is_live(self) -> bool:
        """Return whether the server reports that it is live."""
        ...

    async def is_ready(self, model: str | None = None) -> bool:
        """Return whether the server, or ``model``, reports that it is ready."""
        ...

    async def metadata(self, model: str) -> Mapping[str, Any]:
        """Return Triton's metadata of ``model`` as a JSON object."""
        ...

    async def close(self) -> None:
        """Close all connections; pending calls fail."""
        ...

    def forked(self) -> None:
        """Forget all connections without touching them: in a forked child they are the parent's."""
        ...
