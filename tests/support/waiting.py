"""Waiting for what takes its time, with an end that no test should come near."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(look: Callable[[], Any], seconds: float = 60, pause: float = 0.05) -> Any:
    """What `look` finds once it finds something; it is asked every `pause` seconds."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"it did not come; the last look found {found!r}"
        time.sleep(pause)
    return found
