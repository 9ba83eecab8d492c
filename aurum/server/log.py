"""The log file of a tritonserver: rotate it, add lines, and find out why the server ended."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime
from pathlib import Path

FAILED = "failed to load"
LOST_LOCK = "lock_exception"
# Messages of Triton 2.51 when the step failed not because of its own code, but because a freeze or
# a crash left a lock behind (docs/design/failures.md).
TRANSIENT = (LOST_LOCK, "not healthy", "Stub process")


class Log:
    """The log file at `path`; the previous one is kept as ``.log.1``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self) -> None:
        """Rotate the file, to begin a new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            self.path.replace(self.path.with_suffix(".log.1"))

    def note(self, event: str, message: str) -> None:
        """Add a line of our own, in the format of the request log."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "level": "warning", "event": event, "message": message}
        with self.path.open("a") as log:
            log.write(json.dumps(line) + "\n")

    def reasons(self, lines: int = 15) -> str:
        """Return the lines that report errors, or the last lines."""
        text = self._lines()
        errors = [line for line in text if FAILED in line or line.startswith("error:")]
        chosen = errors or [line for line in text if line.strip()][-lines:]
        return "\n".join(line[:600] for line in chosen[:lines]) + f"\n(log: {self.path})"

    def is_transient(self, status: int | None) -> bool:
        """Whether a server that ended with exit status `status` may succeed at the next start."""
        failures = [line for line in self._lines() if FAILED in line]
        if failures:
            return all(any(word in line for word in TRANSIENT) for line in failures)
        return status is None or status < 0

    def describe_exit(self, status: int | None) -> str:
        """Say how a server ended, from its exit status."""
        if status is None or status >= 0:
            return f"exit status {status}"
        lost = any(LOST_LOCK in line for line in self._lines())
        return f"killed by {signal.Signals(-status).name}{f': {LOST_LOCK}' if lost else ''}"

    def _lines(self) -> list[str]:
        try:
            return self.path.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []  # the file was deleted
