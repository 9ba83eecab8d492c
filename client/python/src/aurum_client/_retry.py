"""Retries with exponential backoff and full jitter, within one deadline.

The delay is drawn uniformly from 0 to ``min(CAP, BASE * 2**attempt)``, which spreads out the
clients of a recovering server. Source: Marc Brooker, "Exponential Backoff And Jitter", AWS
Architecture Blog, 2015,
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aurum_client.errors import AurumError, RequestTimeoutError

T = TypeVar("T")

BASE = 0.1  # seconds
CAP = 2.0  # seconds


def backoff(attempt: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Return the seconds to wait after the failed attempt number ``attempt``, counted from 0."""
    return uniform(0.0, min(CAP, BASE * 2**attempt))


def delay_before_retry(
    error: AurumError, attempt: int, *, retries: int, time_left: float
) -> float | None:
    """Return the seconds to wait before the next attempt, or None if there should be none."""
    if not error.retryable or attempt >= retries:
        return None
    # On top of the server's wish, the backoff spreads out the clients that got the same one.
    delay = backoff(attempt) + (error.retry_after or 0)
    # Waiting until the deadline would only replace the error by a timeout.
    return delay if delay < time_left else None


async def attempts(send: Callable[[float], Awaitable[T]], *, timeout: float, retries: int) -> T:
    """Await ``send(seconds left)`` and retry transient errors, ``timeout`` seconds in total.

    Raises:
        RequestTimeoutError: the time ran out; its cause is the last attempt's error, if any.
        AurumError: the last attempt's error.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    failure: AurumError | None = None
    try:
        async with asyncio.timeout_at(deadline):
            for attempt in itertools.count():
                try:
                    return await send(deadline - loop.time())
                except AurumError as error:
                    failure = error
                    delay = delay_before_retry(
                        error, attempt, retries=retries, time_left=deadline - loop.time()
                    )
                    if delay is None:
                        raise
                await asyncio.sleep(delay)
    except TimeoutError as expired:
        raise RequestTimeoutError(f"no answer within {timeout:g} s") from failure or expired
    raise AssertionError("the loop ends by return or raise")
