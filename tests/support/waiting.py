"""Polling with a timeout that no test should come near."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(look: Callable[[], Any], seconds: float = 60, pause: float = 0.05) -> Any:
    """Poll `look` every `pause` seconds until it returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"it did not come; the last look found {found!r}"
        time.sleep(pause)
    return found
