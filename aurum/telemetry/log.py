"""One JSON line a request, on stderr, which goes where Triton's own log goes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aurum.contract import SERVER_FAULTS
from aurum.telemetry.record import Record

# Names and messages hold words of the sender's.
MAX_ID = 128
MAX_MESSAGE = 500
STDERR = 2


def _to_stderr(text: str) -> None:
    """In one write, so that lines of several threads and processes stay whole."""
    os.write(STDERR, text.encode())


class RequestLog:
    """Writes of which requests `level` (AURUM_REQUEST_LOG) says: off, failures or all.

    A bug of ours is written whatever it says.
    """

    def __init__(self, level: str, write: Callable[[str], None] = _to_stderr) -> None:
        self._level = level
        self._write = write

    def add(self, record: Record) -> None:
        """Write the line of one request that has ended."""
        failed = record.code != "ok"
        if self._level == "all" or (failed and self._level == "failures") or record.traceback:
            self._write(line(record) + "\n")


def line(record: Record) -> str:
    """One request as JSON without line breaks; what is not known or empty is left out."""
    level = "info"
    if record.code != "ok":
        level = "error" if record.code in SERVER_FAULTS else "warning"
    fields: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": level,
        "event": "request",
        "request_id": record.request_id[:MAX_ID],
        "pipeline": record.pipeline,
        "code": record.code,
        "reason": record.reason,
        "message": record.message[:MAX_MESSAGE],
        "faces": record.faces,
        "detection_sizes": record.sides,
        "ms": round(record.seconds * 1000, 2),
        "traceback": record.traceback,
    }
    return json.dumps(
        {name: value for name, value in fields.items() if value not in ("", None, [])}
    )
