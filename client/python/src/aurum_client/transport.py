"""The seam between the client and the wire: what a transport has to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from aurum_client._contract import Outputs
from aurum_client.options import Parameters


class Transport(Protocol):
    """One way to reach a Triton server, used from one event loop only.

    A transport opens its connections on first use, inside the running event loop, and raises
    nothing but :class:`AurumError`. Deadlines and retries are the client's, which cancels a
    call whose time is up.
    """

    async def infer(
        self,
        model: str,
        image: bytes,
        parameters: Parameters,
        request_id: str | None,
        timeout: float,
    ) -> Outputs:
        """Send one encoded image; ``timeout``, seconds left, is for a protocol with deadlines."""
        ...

    async def is_live(self) -> bool:
        """Whether the server says that it is alive."""
        ...

    async def is_ready(self, model: str | None = None) -> bool:
        """Whether the server, or one of its models, says that it is ready."""
        ...

    async def metadata(self, model: str) -> Mapping[str, Any]:
        """Triton's metadata of a model, as JSON."""
        ...

    async def close(self) -> None:
        """Close the connections; what is under way fails."""
        ...
