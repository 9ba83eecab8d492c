"""Concurrent calls that never outlive their caller."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def run_concurrently(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results in order. The first error cancels the other calls and is raised as is.

    (A TaskGroup would wrap it in an ExceptionGroup, which ``except NoFaceError`` doesn't catch.)
    """
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
