"""What the metrics and the log are told of one request: no pixel, no embedding, no landmark."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Record:
    """One request, filled in while it is answered."""

    pipeline: str
    request_id: str = ""
    code: str = "ok"
    reason: str = ""  # why an image was refused: one of contract.INVALID_IMAGE_REASONS
    message: str = ""  # the error that the client got
    traceback: str = ""  # of a bug
    faces: int | None = None  # None: not known, as the photo was never looked at
    sides: list[int] = field(default_factory=list)  # the detector's inputs: their long sides
    quality: list[float] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0

    def fail(self, code: str, message: str, reason: str = "", traceback: str = "") -> None:
        """Note that the answer is an error."""
        self.code, self.message, self.reason, self.traceback = code, message, reason, traceback

    def end(self) -> None:
        """Note that the answer is made: the time runs no longer."""
        self.seconds = time.perf_counter() - self.started
