"""The request log: one JSON line per request on stderr, beside Triton's own log."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aurum.contract import SERVER_FAULTS
from aurum.telemetry.record import Record

# Ids and messages contain text from the sender, so their length (characters) is limited.
MAX_ID = 128
MAX_MESSAGE = 500
STDERR = 2


def _to_stderr(text: str) -> None:
    """Write `text` in one call, so that lines of several threads and processes don't mix."""
    os.write(STDERR, text.encode())


class RequestLog:
    """Logs the requests that `level` (AURUM_REQUEST_LOG) selects: off, failures or all.

    Requests that failed because of a bug in the service are always logged.
    """

    def __init__(self, level: str, write: Callable[[str], None] = _to_stderr) -> None:
        self._level = level
        self._write = write

    def add(self, record: Record) -> None:
        """Log one finished request, if the level selects it."""
        failed = record.code != "ok"
        if self._level == "all" or (failed and self._level == "failures") or record.traceback:
            self._write(line(record) + "\n")


def line(record: Record) -> str:
    """Format one request as JSON without line breaks; unknown and empty fields are left out."""
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
