"""The synchronous client: the asynchronous one, run in a thread and waited for."""

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


def _waited(
    method: Callable[Concatenate[AsyncFaceClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[FaceClient, P], T]:
    """Turn a method of the asynchronous client into one of the synchronous client."""

    @functools.wraps(method)
    def call(self: FaceClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._thread.run(method(self._client, *args, **kwargs))

    return call


class FaceClient:
    """:class:`~aurum_client.AsyncFaceClient` for code without an event loop.

    Its arguments, methods, options and errors are the same. It may be shared by any number of
    threads, whose calls run side by side on one set of connections. Close it, or use it in a
    ``with`` statement: it owns a thread.
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

    detect = _waited(AsyncFaceClient.detect)
    embed = _waited(AsyncFaceClient.embed)
    analyze = _waited(AsyncFaceClient.analyze)
    analyze_many = _waited(AsyncFaceClient.analyze_many)
    compare = _waited(AsyncFaceClient.compare)
    health = _waited(AsyncFaceClient.health)
    models = _waited(AsyncFaceClient.models)

    def close(self) -> None:
        """Close the connections and end the thread; calls under way raise ClientClosedError.

        Harmless twice.
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
