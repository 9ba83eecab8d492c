"""Polling with a timeout that no test should come near."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(look: Callable[[], Any], seconds: float = 60, pause: float = 0.05) -> Any:
    """Poll `look` every `pause` seconds until it returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"timed out; the last result was {found!r}"
        time.sleep(pause)
    return found
