"""Several servers of one service: turns, pauses after refusals, and when to give up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aurum_client import (
    Analysis,
    AsyncFaceClient,
    AurumError,
    ConnectionFailedError,
    InvalidRequestError,
    ProtocolError,
    RequestTimeoutError,
    ServerError,
    UnavailableError,
)

from aurum.bulk import ServiceDownError, UsageError

TIMEOUT = 60.0  # seconds for one photo, including its wait in the queue of a busy server
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 15.0  # seconds, before jitter
TRIES = 3  # of a photo that the server fails on, as another server may not
HOPELESS = 50  # photos in a row that servers fail on: not the photos' fault


class Endpoint:
    """One server."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.url = url
        self.client = AsyncFaceClient(url, timeout=TIMEOUT, retries=0, headers=headers)
        self.in_flight = 0
        self.refusals = 0  # in a row
        self.rests_until = 0.0  # in the event loop's time


class Endpoints:
    """Sends each photo to the server with the fewest requests in flight that doesn't rest.

    A server that refuses (503, 429) or can't be reached rests, for as long as it asks, or twice as
    long each time; its photos go to the others or wait. If no server answered for `patience`
    seconds, ServiceDownError is raised. All get the same `headers`.

    Raises UsageError for an invalid address.
    """

    def __init__(self, urls: Sequence[str], patience: float, headers: Mapping[str, str]) -> None:
        try:
            self._all = [Endpoint(url, headers) for url in urls]
        except ValueError as error:
            raise UsageError(f"the address of the service: {error}") from None
        self._patience = patience
        self._answered = 0.0
        self._failed = 0  # photos in a row

    async def __aenter__(self) -> Self:
        self._answered = asyncio.get_running_loop().time()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for endpoint in self._all:
            await endpoint.client.close()

    @property
    def clients(self) -> dict[str, AsyncFaceClient]:
        """The servers' clients, which retry nothing, by address."""
        return {endpoint.url: endpoint.client for endpoint in self._all}

    async def analyze(self, image: bytes | Path, options: dict[str, Any]) -> Analysis:
        """Return a server's answer.

        Raises:
            ServiceDownError: no server answers, or they fail on every photo.
            AurumError: the photo's own error.
        """
        for attempt in range(1, TRIES + 1):
            try:
                answer = await self._accepted(image, options)
            except InvalidRequestError:
                self._failed = 0
                raise
            except (RequestTimeoutError, ServerError, ProtocolError) as error:
                if attempt == TRIES:
                    self._suspect(error)
                    raise
            else:
                self._failed = 0
                return answer
        raise AssertionError("the loop ends by return or raise")

    async def _accepted(self, image: bytes | Path, options: dict[str, Any]) -> Analysis:
        """Return the answer of a server that accepts the request, however long that takes."""
        now = asyncio.get_running_loop().time
        while True:
            endpoint = await self._free()
            endpoint.in_flight += 1
            try:
                answer = await endpoint.client.analyze(image, **options)
            except (UnavailableError, ConnectionFailedError) as error:
                self._rest(endpoint, error)
            except AurumError:
                self._answered = now()
                raise
            else:
                self._answered = now()
                endpoint.refusals = 0
                return answer
            finally:
                endpoint.in_flight -= 1

    async def _free(self) -> Endpoint:
        now = asyncio.get_running_loop().time
        while True:
            awake = [one for one in self._all if one.rests_until <= now()]
            if awake:
                chosen = min(awake, key=lambda one: one.in_flight)
                self._all.remove(chosen)  # the others' turn comes first where they are as free
                self._all.append(chosen)
                return chosen
            await asyncio.sleep(min(one.rests_until for one in self._all) - now())

    def _rest(self, endpoint: Endpoint, error: AurumError) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._answered > self._patience:
            raise ServiceDownError(
                f"no answer for {self._patience:g} s; {endpoint.url}: {error}"
            ) from error
        if endpoint.rests_until <= now:  # else another of its requests was refused with this one
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**endpoint.refusals)
            jitter = random.uniform(0.5, 1.0)  # noqa: S311 - spreads out the shards of a run
            endpoint.rests_until = now + max(error.retry_after or 0.0, pause * jitter)
            endpoint.refusals = min(endpoint.refusals + 1, 16)

    def _suspect(self, error: AurumError) -> None:
        self._failed += 1
        if self._failed == HOPELESS:
            raise ServiceDownError(f"{HOPELESS} photos in a row failed: {error}") from error
