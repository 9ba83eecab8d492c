"""The synchronous client: runs the asynchronous client in a thread."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from aurum_client._loop import LoopThread
from aurum_client.aio import AsyncFaceClient
from aurum_client.errors import ClientClosedError
from aurum_client.transport import Transport

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[AsyncFaceClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[FaceClient, P], T]:
    """Convert a method of the asynchronous client to one of the synchronous client."""

    @functools.wraps(method)
    def call(self: FaceClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._thread.run(method(self._client, *args, **kwargs))

    return call


class FaceClient:
    """Detect, embed and compare faces on an Aurum server, synchronously.

    The arguments, methods, options and errors are those of :class:`~aurum_client.AsyncFaceClient`.
    Threads can share a client: their calls run concurrently over the same connections. A forked
    child gets its own thread and connections, except over gRPC if the parent has used gRPC. Close
    the client or use it in a ``with`` statement, because it owns a thread.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 10.0,
        retries: int = 2,
        headers: Mapping[str, str] | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._client = AsyncFaceClient(
            url,
            timeout=timeout,
            retries=retries,
            headers=headers,
            ca_file=ca_file,
            transport=transport,
        )
        self._thread = LoopThread(f"aurum-client {url}")

    detect = _blocking(AsyncFaceClient.detect)
    embed = _blocking(AsyncFaceClient.embed)
    analyze = _blocking(AsyncFaceClient.analyze)
    analyze_many = _blocking(AsyncFaceClient.analyze_many)
    compare = _blocking(AsyncFaceClient.compare)
    health = _blocking(AsyncFaceClient.health)
    models = _blocking(AsyncFaceClient.models)

    def close(self) -> None:
        """Close the connections and stop the thread; pending calls raise ClientClosedError.

        Idempotent.
        """
        self._thread.close(self._client.close())

    def __enter__(self) -> Self:
        if self._thread.closed:
            raise ClientClosedError("the client is closed")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
