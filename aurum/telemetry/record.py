"""The record of one request for metrics and log: without pixels, embeddings or landmarks."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Record:
    """One request's outcome, filled in while it is answered."""

    pipeline: str
    request_id: str = ""
    code: str = "ok"
    reason: str = ""  # why an image was refused: one of contract.INVALID_IMAGE_REASONS
    message: str = ""  # the error message that the client received
    traceback: str = ""  # in case of a bug
    faces: int | None = None  # None: unknown, because the detector never ran
    sides: list[int] = field(default_factory=list)  # long sides of the detector's inputs, pixels
    quality: list[float] = field(default_factory=list)  # of each face, 0..1
    started: float = field(default_factory=time.perf_counter)  # by the performance counter, seconds
    seconds: float = 0.0  # from start to answer

    def fail(self, code: str, message: str, reason: str = "", traceback: str = "") -> None:
        """Record that the answer is an error."""
        self.code, self.message, self.reason, self.traceback = code, message, reason, traceback

    def end(self) -> None:
        """Record the time that the answer took."""
        self.seconds = time.perf_counter() - self.started
